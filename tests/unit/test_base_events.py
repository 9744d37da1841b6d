"""What the events of the base image's life, and of the mode, mean for the screen, and in which words they are told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from console import events as ev
from console.base_values import (
    BaseContents,
    BaseDiff,
    BasePackage,
    BaseStatus,
    HeldBase,
    HeldBecause,
    PackageChange,
    Transfer,
    TransferLayer,
    TransferStatus,
)
from console.model import BuildStatus, ContainerStatus, Mode, Target
from console.state import base_words as words
from console.state.app_state import AppState
from tests.ui.story import DIFF, HELD, NUMPY, PULL, VERSIONS
from tests.unit.test_reducer import after, finished, save, served, started

BASE = BaseStatus("shop-base:latest", present=True, version="2026.11.23")
FAILED = HeldBase(HeldBecause.BUILD, "RUN pip install: exit code 1")
LEGACY = ev.ModeChanged(Mode.LEGACY)


def messages(state: AppState) -> list[str]:
    return [notice.message for notice in state.notices]


def held_of(state: AppState) -> HeldBase | None:
    assert state.base is not None
    return state.base.held


# -- held and promoted -------------------------------------------------------------------------------------------------


def test_a_held_base_is_shown_and_told_with_what_to_do() -> None:
    state = after(ev.BaseChecked(BASE), ev.BaseHeld(HELD))
    assert held_of(state) is HELD
    (notice,) = state.notices
    assert notice.severity == "warning"
    assert notice.message == "the new base image 2026.11.24 needs approval: numpy 1.26.4 → 2.1.0"
    assert "b tries again" in notice.hint
    assert "a approves it" in notice.hint
    (notice,) = after(ev.BaseHeld(FAILED)).notices
    assert notice.message == "the new base image could not be built: RUN pip install: exit code 1"
    assert "b tries again" in notice.hint
    assert "approves" not in notice.hint


def test_a_base_that_is_held_again_stands_once_among_the_notices() -> None:
    state = after(ev.BaseHeld(HELD), ev.ErrorOccurred("other"), ev.BaseHeld(HELD))
    assert messages(state) == ["other", f"the new base image {words.held_words(HELD)}"]
    assert state.notices[-1].at == 1002.0, "it is the newest news"
    state = after(ev.BaseHeld(FAILED), state=state)
    assert messages(state) == ["other", f"the new base image {words.held_words(FAILED)}"]


def test_a_promoted_base_settles_that_one_was_held_or_stale() -> None:
    state = after(ev.BaseChecked(BASE), ev.BaseStale(("a",)), ev.BaseHeld(HELD), ev.ErrorOccurred("other"))
    state = after(ev.BasePromoted("2026.11.24", "f"), state=state)
    assert messages(state) == ["other", "the base is 2026.11.24 now"]
    assert held_of(state) is None
    assert messages(after(ev.BasePromoted("2026.11.24", "f"))) == ["the base is 2026.11.24 now"]


def test_a_new_base_beside_a_pinned_one_is_told_as_such() -> None:
    state = after(ev.BaseChecked(replace(BASE, pinned=True)), ev.BasePromoted("2026.11.24", "f"))
    assert messages(state) == ["base 2026.11.24 is latest now; app builds stay on the one that config.toml names"]


def test_what_the_user_did_is_confirmed() -> None:
    state = after(
        ev.BaseUsed("2026.11.20", "asked for"),
        ev.BasePruned(("2026.11.01", "2026.10.30"), 812_000_000),
        ev.BasePruned((), 0),
    )
    assert messages(state) == [
        "app builds stand on base 2026.11.20 now: asked for",
        "2 base versions removed, 812 MB freed: 2026.11.01, 2026.10.30",
        "no base version was removed: each one here is needed",
    ]
    assert {notice.severity for notice in state.notices} == {"information"}


# -- versions and differences ------------------------------------------------------------------------------------------


def test_nobody_has_looked_is_not_the_same_as_there_is_none() -> None:
    assert AppState().bases.versions is None
    assert after(ev.BaseVersionsListed(())).bases.versions == ()
    assert after(ev.BaseVersionsListed(VERSIONS)).bases.versions == VERSIONS


def test_comparisons_are_kept_once_each_and_not_for_ever() -> None:
    again = replace(DIFF, size_after_bytes=1)
    assert after(ev.BaseCompared(DIFF), ev.BaseCompared(again)).bases.diffs == (again,)
    many = [ev.BaseCompared(BaseDiff(str(number), "now", ())) for number in range(30)]
    assert [diff.before for diff in after(*many).bases.diffs] == [str(number) for number in range(10, 30)]


@pytest.mark.parametrize("event", [ev.BaseHeld(HELD), ev.BasePromoted("2026.11.25", "f")])
def test_what_was_told_of_a_candidate_does_not_outlive_it(event: ev.Event) -> None:
    of_it = BaseDiff("2026.11.23", words.CANDIDATE, ())
    assert after(ev.BaseCompared(of_it), ev.BaseCompared(DIFF), event).bases.diffs == (DIFF,)


# -- transfers ---------------------------------------------------------------------------------------------------------


def test_a_transfer_is_progress_until_it_ends_and_then_a_notice() -> None:
    begun = Transfer("pull", PULL.reference)
    state = after(ev.BaseTransferred(begun), ev.BaseTransferred(PULL))
    assert (state.bases.transfer, state.bases.transfer_started_at, state.notices) == (PULL, 1000.0, ())
    done = after(ev.BaseTransferred(replace(PULL, status=TransferStatus.OK)), state=state)
    (notice,) = done.notices
    assert (notice.message, notice.severity) == (
        "pulled ghcr.io/dev/codesearch-base:latest (1 of 5 layers were there)",
        "information",
    )
    broken = replace(PULL, status=TransferStatus.FAILED, message="connection reset")
    (notice,) = after(ev.BaseTransferred(broken), state=state).notices
    assert (notice.message, notice.severity) == (
        "pulling ghcr.io/dev/codesearch-base:latest failed: connection reset",
        "error",
    )
    assert after(ev.BaseTransferred(begun), state=done, start=2000.0).bases.transfer_started_at == 2000.0


def test_a_share_is_told_only_where_it_cannot_run_backwards() -> None:
    assert words.transfer_share(PULL) == pytest.approx(780 / 1912)
    assert words.transfer_progress(PULL) == "40 %"
    assert words.transfer_bytes(PULL) == "780 MB of 1.91 GB"
    unknown = replace(PULL, layers=(*PULL.layers, TransferLayer("x", "waiting")))
    assert words.transfer_share(unknown) is None
    assert words.transfer_progress(unknown) == "2/6 layers"
    assert words.transfer_bytes(unknown) == "780 MB"
    assert words.transfer_share(Transfer("push", "x")) is None
    assert words.transfer_progress(Transfer("push", "x")) == ""
    assert words.transfer_bytes(Transfer("push", "x")) == ""
    nothing_to_do = Transfer("push", "x", layers=(TransferLayer("a", "there"),))
    assert words.transfer_progress(nothing_to_do) == "1/1 layers"


# -- words -------------------------------------------------------------------------------------------------------------


def test_changes_are_told_in_few_words_and_majors_first() -> None:
    assert [words.change_words(change) for change in words.in_order(DIFF.changes)] == [
        "urllib3 1.26.20 → 2.2.3",
        "+ libheif1 1.15.1-1",
        "libssl3 3.0.14-1 → 3.0.15-1",
        "- six 1.16.0",
        "tokenizers 0.19.1 → 0.20.3",
    ]
    assert words.diff_words(DIFF) == "1 major, 3 changed, 1 added, 1 removed · 1.89 GB → 1.91 GB (+18 MB)"
    assert words.diff_words(BaseDiff("a", "b", ())) == "the same packages"
    assert words.diff_words(BaseDiff("a", "b", (), 9_000, 3_000)) == "the same packages · 9 kB → 3 kB (−6 kB)"
    assert words.some_changes([NUMPY] * 5).endswith(", +2 more")


def test_what_a_version_holds_is_kept_once_and_a_candidates_goes_with_it() -> None:
    packages = (BasePackage("pip", "numpy", "1.26.4"), BasePackage("dpkg", "git", "1:2.39"))
    one, other = BaseContents("2026.11.23", "sha256:a", packages), BaseContents("candidate", "sha256:b", packages)
    read = [ev.BaseContentsRead(contents) for contents in (one, other, one)]
    assert after(*read).bases.contents == (other, one)
    assert after(*read, ev.BasePromoted("2026.11.24", "f")).bases.contents == (one,)
    assert words.contents_words(one) == "1 dpkg, 1 pip"
    assert words.contents_words(BaseContents("x", "y", ())) == "no packages"


@pytest.mark.parametrize(
    ("held", "said"),
    [
        (replace(FAILED, because=HeldBecause.CHECK, version="2026.11.24"), "2026.11.24 did not pass its check: RUN"),
        (HeldBase(HeldBecause.MAJOR, "two majors"), "needs approval: two majors"),
        (HeldBase(HeldBecause.BUILD, ""), "could not be built"),
        (HeldBase(HeldBecause.BUILD, "\x1b[2Jx"), "could not be built: \\x1b[2Jx"),
    ],
)
def test_why_a_base_is_held(held: HeldBase, said: str) -> None:
    assert words.held_words(held).startswith(said)


def test_without_keys_the_commands_are_named() -> None:
    assert words.held_command(HELD).startswith("splitdeck base build --allow-major approves it")
    assert words.held_command(FAILED).startswith("splitdeck base build tries again")


# -- the mode ----------------------------------------------------------------------------------------------------------


def test_the_pipeline_follows_builds_of_what_the_mode_makes() -> None:
    build = [started(1, 1, Target.LEGACY), finished(1, target=Target.LEGACY)]
    state = after(LEGACY, save(1), *build)
    assert state.mode is Mode.LEGACY
    assert state.pipeline.phase == "swap"
    assert state.followed_build is state.legacy_build
    state = after(*served(1, 1), state=state)
    assert state.pipeline.phase == "served"
    assert state.container.target is Target.LEGACY
    assert not state.waiting_saves
    assert after(save(1), *build).pipeline.phase == "idle", "a race is no way of a save to the container"
    assert after(LEGACY, save(1), started(1, 1)).pipeline.phase == "idle"


def test_the_mode_is_told_once_and_only_if_it_is_another() -> None:
    assert after(ev.ModeChanged(Mode.SPLIT)).notices == ()
    state = after(LEGACY, LEGACY)
    assert messages(state) == ["legacy mode: saves build and serve the single image of [legacy]"]
    state = after(ev.ModeChanged(Mode.SPLIT), state=state)
    assert state.mode is Mode.SPLIT
    assert messages(state)[1].startswith("split mode")


def test_a_build_that_the_mode_ended_is_not_shown_as_running() -> None:
    state = after(save(1), started(1, 1), LEGACY, finished(1, BuildStatus.CANCELLED))
    assert state.pipeline.phase == "cancelled"
    state = after(started(2, None, Target.LEGACY), state=state)
    assert (state.pipeline.phase, state.pipeline.batch) == ("build", None)


def test_a_rollback_knows_again_which_image_serves() -> None:
    state = after(save(1), started(1, 1), finished(1), *served(1, 1))
    assert state.container.target is Target.APP
    state = after(LEGACY, started(2, None, Target.LEGACY), finished(2, target=Target.LEGACY), state=state)
    state = after(ev.ContainerStarted("c2", "app", "sha256:new", 2), state=state)
    assert (state.container.target, state.container.status) == (Target.LEGACY, ContainerStatus.STARTING)
    back = after(ev.ContainerReady("c1", 1, 1, ""), state=state)
    assert back.container.target is Target.APP
    state = after(started(3, None, Target.APP), state=state)
    again = after(ev.ContainerStarted("c3", "app", "sha256:old", 1), state=state)
    assert again.container.target is Target.APP, "its build is not known any more, but what served was"


def test_majors_need_no_manager_to_be_told() -> None:
    assert words.change_words(PackageChange("", "a\x07b", "1", "2")) == "a\\x07b 1 → 2"
