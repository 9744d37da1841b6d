"""Which packages differ, and which differences are major updates: real versions, and any text at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.base.package_diff import compare_packages, render_diff
from console.base.packages import Package
from console.base_values import BaseDiff, PackageChange


def one_change(manager: str, before: str, after: str) -> PackageChange:
    (change,) = compare_packages([Package(manager, "it", before)], [Package(manager, "it", after)])
    return change


@pytest.mark.parametrize(
    ("manager", "before", "after", "major"),
    [
        ("pip", "1.26.4", "2.1.0", True),  # numpy
        ("pip", "2.12.1", "2.13.0", False),  # torch
        ("pip", "2.12.1+cpu", "2.13.0+cpu", False),
        ("pip", "2.13.0+cpu", "2.13.0+cu129", False),
        ("pip", "2.13.0+cpu", "3.0.0+cpu", True),
        ("pip", "0.27.2", "0.28.0", False),  # httpx: below 1
        ("pip", "0.115.0", "1.0.0", True),
        ("pip", "5.1.0", "4.57.1", True),  # a downgrade
        ("pip", "2024.2.2", "2025.8.3", False),  # certifi
        ("pip", "2025.2", "2025.3", False),  # pytz, tzdata
        ("pip", "9.1", "2024.1", True),  # a new way to count
        ("pip", "24.3.1", "25.0", True),  # pip
        ("pip", "65.5.0", "66.1.1", True),  # setuptools
        ("pip", "2.0.0rc1", "2.0.0", False),
        ("pip", "1.0.0.dev20240101", "2.0.0a1", True),
        ("pip", "1!1.0", "2!1.0", True),
        ("pip", "1!1.0", "1!1.5", False),
        ("pip", "2004d", "2005a", False),  # no PEP 440
        ("pip", "1.0-final-x-y", "2.0-final-x-y", True),  # no PEP 440
        ("pip", "v1.2", "1.3", False),
        ("dpkg", "2.36-9+deb12u8", "2.36-9+deb12u13", False),  # libc6
        ("dpkg", "2.36-9+deb12u8", "2.41-12", False),
        ("dpkg", "7.88.1-10+deb12u8", "8.14.1-2", True),  # curl
        ("dpkg", "1:2.39.2-1.1", "1:2.47.3-0+deb13u1", False),  # git
        ("dpkg", "1:9.2p1-2+deb12u3", "1:10.0p1-7", True),  # openssh-client
        ("dpkg", "4:12.2.0-3", "4:14.2.0-1", True),  # gcc
        ("dpkg", "1.2-3", "1:1.2-3", True),  # an epoch comes
        ("dpkg", "0:1.2-3", "1.2-4", False),
        ("dpkg", "12.4+deb12u8", "13.8", True),  # base-files, a native package
        ("dpkg", "5.7-0.5~deb12u1", "5.23.2", False),  # debianutils
        ("dpkg", "3.0.15-1~deb12u1", "3.5.1-1", False),  # openssl
        ("dpkg", "1.1.1n-0+deb11u5", "3.0.15-1~deb12u1", True),
        ("dpkg", "2024a-0+deb12u1", "2025b-0+deb12u2", False),  # tzdata
        ("dpkg", "20230311+deb12u1", "20250419", False),  # ca-certificates
        ("dpkg", "6.4-4", "6.5+20250216-2", False),  # ncurses
        ("dpkg", "20240101-1", "1.0-1", True),  # from a date to a number
        ("dpkg", "13.0.1-4", "14.1.1-1", True),  # ripgrep
        ("dpkg", "0.0~git20230602.5bb3a0f-1", "0.0~git20250101.aabbcc1-1", False),
        ("dpkg", "1.21.3+dfsg-1", "1.22~rc1+dfsg1-1", False),
        ("dpkg", "9e-1", "10a-1", True),
        ("dpkg", "1:1.2.13.dfsg-1", "1:1.3.dfsg+really1.3.1-1", False),  # zlib1g
        ("dpkg", "590-2.1~deb12u2", "668-1", True),  # less: a number, not a year
        ("dpkg", "252.30-1~deb12u2", "257.7-1", True),  # systemd
        ("dpkg", "5.36.0-7+deb12u1", "5.40.1-6", False),  # perl
        ("dpkg", "9f8e7d6-1", "1a2b3c4-1", False),  # git hashes
        ("dpkg", "unstable", "2.0-1", False),
        ("apk", "1.36.1-r19", "1.37.0-r12", False),  # busybox
        ("apk", "3.3.2-r0", "3.5.1-r0", False),
        ("apk", "20240226-r0", "20250911-r0", False),
        ("apk", "8.9.1-r1", "9.0.0_alpha1-r0", True),
        ("apk", "0.7.6-r1", "0.8.0-r0", False),
        ("rpm", "2.34-100.el9", "2.39-17.el10", False),  # glibc
        ("rpm", "1:3.0.7-27.el9", "1:3.5.1-3.el10", False),
        ("rpm", "252-32.el9", "257-9.el10", True),
        ("rpm", "2:9.0-1.el9", "1:9.0-1.el9", True),
        ("rpm", "2024.2.69_v8.0.303-91.4.el9", "2025.2.80_v9.0.304-102.el10", False),  # ca-certificates
    ],
)
def test_what_counts_as_a_major_update(manager: str, before: str, after: str, major: bool) -> None:
    assert one_change(manager, before, after) == PackageChange(manager, "it", before, after, major)
    assert one_change(manager, after, before).major is major


def test_majors_come_first_then_changed_added_removed_each_by_name() -> None:
    before = [
        Package("pip", "b", "1.0"),
        Package("dpkg", "a", "1.0-1"),
        Package("pip", "d", "1"),
        Package("dpkg", "libicu72", "72.1-3"),
        Package("dpkg", "same", "1"),
        Package("pip", "c", "1.0"),
    ]
    after = [
        Package("pip", "d", "2"),
        Package("dpkg", "a", "1.1-1"),
        Package("dpkg", "same", "1"),
        Package("dpkg", "libicu76", "76.1-4"),
        Package("pip", "b", "2.0"),
        Package("pip", "aa", "3"),
        Package("pip", "c", "1.1"),
    ]
    changes = compare_packages(before, after)
    assert [(change.name, change.before, change.after, change.major) for change in changes] == [
        ("b", "1.0", "2.0", True),
        ("d", "1", "2", True),
        ("a", "1.0-1", "1.1-1", False),
        ("c", "1.0", "1.1", False),
        ("aa", "", "3", False),
        ("libicu76", "", "76.1-4", False),
        ("libicu72", "72.1-3", "", False),
    ]


def test_the_same_name_with_two_managers_are_two_packages() -> None:
    changes = compare_packages([Package("dpkg", "six", "1.16")], [Package("pip", "six", "1.16")])
    assert [(change.manager, change.before, change.after) for change in changes] == [
        ("pip", "", "1.16"),
        ("dpkg", "1.16", ""),
    ]


def test_several_versions_of_a_package_are_set_beside_each_other_from_the_highest_down() -> None:
    before = [Package("pip", "it", version) for version in ("1.9", "2.0", "2.10")]
    after = [Package("pip", "it", version) for version in ("2.0", "2.11")]
    changes = compare_packages(before, after)
    assert [(change.before, change.after, change.major) for change in changes] == [
        ("2.10", "2.11", False),
        ("1.9", "", False),
    ]


_VERSIONS = st.one_of(st.text(max_size=12), st.from_regex(r"[0-9]{1,9}(:[0-9])?[.0-9a-z~+!-]{0,9}", fullmatch=True))
_PACKAGES = st.lists(
    st.builds(
        Package, st.sampled_from(["pip", "dpkg", "apk", "rpm", "?"]), st.sampled_from("abc") | st.text(), _VERSIONS
    ),
    max_size=12,
)


@given(before=_PACKAGES, after=_PACKAGES)
def test_any_text_is_compared_and_both_ways_say_the_same(before: list[Package], after: list[Package]) -> None:
    there = compare_packages(before, after)
    back = compare_packages(after, before)
    assert {(c.manager, c.name, c.before, c.after, c.major) for c in there} == {
        (c.manager, c.name, c.after, c.before, c.major) for c in back
    }
    assert compare_packages(before, list(reversed(before))) == ()
    assert all(line.isprintable() for line in render_diff(BaseDiff("a\n", "b", there)))


@pytest.mark.parametrize("manager", ["pip", "dpkg"])
def test_a_version_of_thousands_of_digits_is_no_trouble(manager: str) -> None:
    assert one_change(manager, "9" * 9000, "1.0").major
    assert not one_change(manager, "9" * 9000, "1" * 9000).major


def test_a_difference_as_text() -> None:
    changes = (
        PackageChange("pip", "numpy", "1.26.4", "2.1.0", major=True),
        PackageChange("dpkg", "libc6", "2.36-9+deb12u8", "2.36-9+deb12u13"),
        PackageChange("pip", "mcp", "", "1.2"),
        PackageChange("dpkg", "libicu72", "72.1-3", ""),
    )
    diff = BaseDiff("2026.11.17", "2026.11.24", changes, 2_280_000_000, 2_310_000_000)
    assert render_diff(diff) == [
        "2026.11.17 → 2026.11.24   2.28 GB → 2.31 GB (+30 MB)",
        "2 packages changed (1 major), 1 added, 1 removed",
        "!  pip   numpy     1.26.4          →  2.1.0            major",
        "   dpkg  libc6     2.36-9+deb12u8  →  2.36-9+deb12u13",
        "+  pip   mcp       –               →  1.2",
        "-  dpkg  libicu72  72.1-3          →  –",
    ]


def test_what_is_not_known_or_not_different_is_not_told() -> None:
    assert render_diff(BaseDiff("a", "b", ())) == ["a → b", "the same packages"]
    smaller = BaseDiff("a", "b", (), 2_000, 1_000)
    assert render_diff(smaller)[0] == "a → b   2 kB → 1 kB (−1 kB)"
