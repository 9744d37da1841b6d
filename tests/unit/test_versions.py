"""Names of base versions, what somebody means by one, which comes before, which may go."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from console.base.memory import BaseMemory, Remembered
from console.base.tags import called, date_tag, familiar, is_date_tag, pins_in, revision_tag, tags_of
from console.base.versions import BaseImage, find_version, marked, previous_of, superfluous
from console.base_values import BaseVersion, HeldBase, HeldBecause, PackageChange

DAY = date(2026, 11, 26)
DIGEST = f"sha256:{'d' * 64}"


def version(day: int, *more: str, apps: tuple[str, ...] = (), digest: str = "") -> BaseVersion:
    name = f"2026.11.{day:02}"
    image_id = f"sha256:{day:02}{'abcdef' * 10}ab"
    return BaseVersion(image_id, (name, *more), float(day), 1, digest, name, "", "f", apps)


def newest_first(*days: int, latest: int = 0) -> tuple[BaseVersion, ...]:
    return tuple(version(day, *(("latest",) if day == latest else ())) for day in sorted(days, reverse=True))


@pytest.mark.parametrize(
    ("taken", "tag"),
    [
        (set(), "2026.11.26"),
        ({"2026.11.25", "latest"}, "2026.11.26"),
        ({"2026.11.26"}, "2026.11.26.2"),
        ({"2026.11.26", "2026.11.26.2", "2026.11.26.4"}, "2026.11.26.3"),
    ],
)
def test_a_second_base_on_one_day_gets_a_number(taken: set[str], tag: str) -> None:
    assert date_tag(DAY, taken) == tag
    assert is_date_tag(tag)


def test_what_is_no_date_tag() -> None:
    assert not any(map(is_date_tag, ("latest", "2026.11", "sha-1a2b3c4", "2026.11.26.", "v2026.11.26")))


def test_a_commit_is_a_tag_and_no_commit_is_none() -> None:
    assert (revision_tag("1a2b3c4d5e"), revision_tag("")) == ("sha-1a2b3c4", "")


@pytest.mark.parametrize(
    ("wanted", "day"),
    [
        ("2026.11.02", 2),
        ("latest", 3),
        (DIGEST, 1),
        (f"@{DIGEST}", 1),
        (f"2026.11.01@{DIGEST}", 1),
        ("02abcd", 2),
        ("sha256:02abcd", 2),
        ("2026.11.09", None),
        ("abcdef", None),
        ("02ab", None),
        ("", None),
        ("@", None),
    ],
)
def test_what_somebody_means(wanted: str, day: int | None) -> None:
    versions = (version(3, "latest"), version(2), version(1, digest=DIGEST))
    found = find_version(versions, wanted)
    assert (None if found is None else int(found.created_at)) == day


def test_the_beginning_of_several_ids_means_none() -> None:
    one = version(2)
    other = BaseVersion(one.image_id[:-1] + "0", ("2026.11.03",), 3.0, 1)
    assert find_version((other, one), "02abcdef") is None


def test_the_one_before_is_the_newest_of_the_older_ones() -> None:
    versions = newest_first(1, 2, 3)
    before = previous_of(versions, version(2).image_id)
    assert before is not None
    assert before.name == "2026.11.01"
    assert previous_of(versions, version(1).image_id) is None
    assert previous_of(versions, "sha256:unknown") is None


def test_a_rollback_goes_to_no_image_that_somebody_just_tagged() -> None:
    foreign = BaseVersion("sha256:busybox", ("foo",), 2.5, 1)
    before = previous_of((version(3), foreign, version(2)), version(3).image_id)
    assert before is not None
    assert before.name == "2026.11.02"


def names(versions: tuple[BaseVersion, ...]) -> list[str]:
    return [one.name for one in versions]


def test_the_newest_stay() -> None:
    versions = marked(newest_first(1, 2, 3, 4, 5, latest=5), version(5).image_id, ())
    assert names(superfluous(versions, 3, ())) == ["2026.11.02", "2026.11.01"]
    assert names(superfluous(versions, 9, ())) == []


def test_what_is_needed_stays_however_old() -> None:
    versions = newest_first(1, 2, 3, 4, 5, latest=5)
    versions = (*versions[:4], version(1, apps=("demo",)))
    pinned = marked(versions, version(5).image_id, {"2026.11.02"})
    assert names(superfluous(pinned, 1, {version(3).image_id})) == []


def test_where_a_rollback_goes_stays_for_the_present_one_and_for_latest() -> None:
    versions = marked(newest_first(1, 2, 3, 4, 5, 6, latest=6), version(3).image_id, ())
    assert names(superfluous(versions, 1, ())) == ["2026.11.04", "2026.11.01"]


@pytest.mark.parametrize(
    ("text", "pins"),
    [
        ("image: my/base:2026.11.01", {"2026.11.01"}),
        (f"image: my/base:2026.11.01@{DIGEST}", {"2026.11.01", DIGEST}),
        (f'BASE_IMAGE: "my/base@{DIGEST}"', {DIGEST}),
        ("image: my/base:latest", set()),
        ("image: not-my/base:2026.11.01", set()),
        ("image: other/my/base:2026.11.01", set()),
        ("image: my/base-app:2026.11.01", set()),
    ],
)
def test_what_a_compose_file_pins(text: str, pins: set[str]) -> None:
    assert pins_in(text, {"my/base"}) == pins


def test_what_is_pinned_or_present_is_marked() -> None:
    one, two, three = marked(newest_first(1, 2, 3), version(3).image_id, {"2026.11.01", "2026.10.01"})
    assert (one.current, two.current, three.current) == (True, False, False)
    assert (one.pinned, two.pinned, three.pinned) == (False, False, True)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("docker.io/library/base:1", "base:1"),
        ("docker.io/me/base", "me/base"),
        ("index.docker.io/me/base", "me/base"),
        ("localhost/base:1", "base:1"),
        ("localhost/me/base", "localhost/me/base"),
        ("ghcr.io/me/base:1", "ghcr.io/me/base:1"),
    ],
)
def test_a_name_as_engines_show_it(name: str, shown: str) -> None:
    assert familiar(name) == shown


def test_only_tags_of_the_own_name_are_own_tags() -> None:
    every = ("docker.io/me/base:latest", "me/base:2026.11.26", "other/base:2026.11.25", f"me/base@{DIGEST}")
    assert tags_of(every, "docker.io/me/base") == ("2026.11.26", "latest")


def test_what_a_version_is_called() -> None:
    assert called(("latest", "2026.11.26.10", "2026.11.26.9"), "") == "2026.11.26.9"
    assert called(("2026.11.26", "2026.11.26.2"), "2026.11.26.2") == "2026.11.26.2"
    assert called(("latest", "mine"), "2026.11.26") == ""


def test_a_digest_is_one_where_a_registry_gave_it() -> None:
    image = BaseImage("sha256:x", 1.0, 1, digests=(f"localhost/base@{DIGEST}", "ghcr.io/me/base@sha256:e"))
    assert (image.digest, image.digest_in("ghcr.io/me/base"), image.digest_in("ghcr.io/me/other")) == (
        "sha256:e",
        "sha256:e",
        "",
    )
    assert BaseImage("sha256:x", 1.0, 1, digests=(f"base@{DIGEST}",)).digest == ""


# -- what is remembered ------------------------------------------------------------------------------------------------


def test_what_is_held_is_remembered_by_the_next_session(tmp_path: Path) -> None:
    majors = (PackageChange("pip", "numpy", "1", "2", major=True),)
    held = HeldBase(HeldBecause.MAJOR, "numpy 1 → 2", "2026.11.26", majors)
    remembered = Remembered(held, "sha256:x", "f", 12.5, "sha256:newer", "g")
    BaseMemory(tmp_path / "state/demo.json").keep(remembered)
    assert BaseMemory(tmp_path / "state/demo.json").get() == remembered


@pytest.mark.parametrize("content", [b"", b"{", b'{"held": 3}', b"\xff\xfe", b"[]"])
def test_a_torn_memory_is_as_good_as_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "demo.json").write_bytes(content)
    memory = BaseMemory(tmp_path / "demo.json")
    assert memory.get() == Remembered()
    memory.keep(Remembered(asked_at=1.0))
    assert memory.get().asked_at == 1.0


def test_what_cannot_be_written_is_remembered_for_this_session(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    memory = BaseMemory(tmp_path / "file" / "demo.json")
    memory.keep(Remembered(asked_at=1.0))
    assert memory.get().asked_at == 1.0


def test_what_cannot_be_written_any_more_is_not_what_was_written_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = BaseMemory(tmp_path / "demo.json")
    memory.keep(Remembered(asked_at=1.0))
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
    memory.keep(Remembered(asked_at=2.0))
    assert memory.get().asked_at == 2.0
    assert [path.name for path in tmp_path.iterdir()] == ["demo.json"]
