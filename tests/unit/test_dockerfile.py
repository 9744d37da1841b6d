"""Dockerfiles read as BuildKit reads them; tables partly from its frontend/dockerfile/parser tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.build.dockerfile import Dockerfile, Heredoc, Instruction, parse_dockerfile, read_dockerfile
from console.build.dockerfile.step_names import StepNames
from console.errors import DockerfileError


def parse(text: str, build_args: Mapping[str, str] | None = None) -> Dockerfile:
    return parse_dockerfile(text, "Dockerfile", build_args or {})


def after_from(text: str) -> Instruction:
    return parse(f"FROM a\n{text}\n").instructions[1]


def sources(text: str, target: str | None = None, **build_args: str) -> tuple[str, ...]:
    return parse(text, build_args).context_sources(target)


# --- text ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "joined", "lines"),
    [
        ("RUN one \\\n  two", "RUN one   two", (2, 3)),
        ("RUN one\\\ntwo \\   \n\tthree", "RUN onetwo \tthree", (2, 4)),
        ("run something \\\n\n    following \\\n\n    more", "run something     following     more", (2, 6)),
        ("RUN x \\\n# comment \\\n   # more\n   after", "RUN x    after", (2, 5)),
        ("RUN echo \\\\\n", "RUN echo \\\\", (2, 2)),
        ("RUN last \\", "RUN last", (2, 2)),
        ("\n# c\n   RUN  a # no comment", "RUN  a # no comment", (4, 4)),
        ("\\\nRUN a", "RUN a", (2, 3)),
        ("RUN a\\\r\n b\r\n", "RUN a b", (2, 3)),
    ],
)
def test_continuations_are_joined(text: str, joined: str, lines: tuple[int, int]) -> None:
    instruction = after_from(text)
    assert (instruction.text, (instruction.line, instruction.end_line)) == (joined, lines)
    assert instruction.keyword == "RUN"


def test_directives() -> None:
    dockerfile = parse(
        "\ufeff# Escape = `\n# syntax=docker/dockerfile:1 extra\n# check=skip=all\nFROM a\nRUN x `\n y\\\n"
    )
    assert (dockerfile.escape, dockerfile.syntax) == ("`", "docker/dockerfile:1")
    assert dockerfile.instructions[1].text == "RUN x  y\\"
    assert parse("# a comment ends the directives\n# escape=`\nFROM a").escape == "\\"
    assert parse("FROM a\n# escape=`").escape == "\\"


def test_a_shebang_hides_the_escape_character_but_not_the_syntax() -> None:
    dockerfile = parse("#!/usr/bin/env x\n#syntax=y/z:1\n# escape=`\nFROM a\nRUN x \\\n y\n")
    assert (dockerfile.escape, dockerfile.syntax) == ("\\", "y/z:1")
    assert parse("#!/usr/bin/env x\n# comment\n# syntax=y\nFROM a").syntax == ""
    assert parse("# a comment\n# syntax=y\nFROM a").syntax == ""


@pytest.mark.parametrize(
    ("text", "flags", "words", "json_form"),
    [
        ("COPY a b /c", (), ("a", "b", "/c"), False),
        ('COPY ["a b", "/c"]', (), ("a b", "/c"), True),
        ('COPY [a b", "/c"]', (), ("[a", 'b",', '"/c"]'), False),
        (
            "COPY --from=x --chown=1:2 --link a\tb",
            (("from", "x"), ("chown", "1:2"), ("link", "true")),
            ("a", "b"),
            False,
        ),
        (
            "COPY --parents=false --exclude='a b' -- --x y",
            (("parents", "false"), ("exclude", "a b")),
            ("--x", "y"),
            False,
        ),
        ("ADD --checksum=sha256:1 --chmod=755 u d", (("checksum", "sha256:1"), ("chmod", "755")), ("u", "d"), False),
        ('RUN ["a", "b c"]', (), ("a", "b c"), True),
        ("RUN [ -f x ] && y", (), ("[", "-f", "x", "]", "&&", "y"), False),
        ("RUN --mount=type=cache,target=/x a", (("mount", "type=cache,target=/x"),), ("a",), False),
        ('RUN a \'b c\' "d\\" e"', (), ("a", "'b c'", '"d\\" e"'), False),
        ("CMD []", (), (), True),
        ("CMD [NaN]", (), ("[NaN]",), False),
        ("ENV a=\x1f{b} c=d", (), ("a=\x1f{b}", "c=d"), False),
        ("ENV a=1\u2003b=2", (), ("a=1", "b=2"), False),
        ("ENV a=1 b='2 3' c=x\\ y", (), ("a=1", "b='2 3'", "c=x\\ y"), False),
        ("ENV a some text", (), ("a", "some text"), False),
        ("LABEL maintainer Me <me@x>", (), ("maintainer", "Me <me@x>"), False),
        ("WORKDIR /a b", (), ("/a b",), False),
        ("HEALTHCHECK --interval=5s CMD curl x", (("interval", "5s"),), ("CMD", "curl", "x"), False),
        ('HEALTHCHECK CMD ["curl", "x"]', (), ("CMD", "curl", "x"), True),
        ("EXPOSE 80  81/udp", (), ("80", "81/udp"), False),
        ("FROM --platform=$BUILDPLATFORM b AS Two", (("platform", "$BUILDPLATFORM"),), ("b", "AS", "Two"), False),
    ],
)
def test_arguments(text: str, flags: tuple[tuple[str, str], ...], words: tuple[str, ...], json_form: bool) -> None:
    instruction = after_from(text)
    assert (instruction.flags, instruction.words, instruction.json_form) == (flags, words, json_form)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("RUN <<EMPTY\nEMPTY", [Heredoc("EMPTY", "", True, False)]),
        ("RUN 3<<E\nx\nE", [Heredoc("E", "x\n", True, False)]),
        ('RUN "<<NOHEREDOC"', []),
        ('RUN ["<<EOF"]', []),
        ("USER <<INVALID", []),
        ("RUN cat <<<EOF", []),
        ("RUN echo $((1 << 2))", []),
        ("RUN echo 'open <<EOF", []),
        ("RUN <<E'", []),
        ("RUN <<-E\n\tbaz\n\tE", [Heredoc("E", "\tbaz\n", True, True)]),
        ("RUN <<-'E'\n\t$x\nE", [Heredoc("E", "\t$x\n", False, True)]),
        ("RUN <<E\n# kept\n\\\n\nE", [Heredoc("E", "# kept\n\\\n\n", True, False)]),
        ("COPY <<X <<Y /dest\nY\nX\nX\nY", [Heredoc("X", "Y\n", True, False), Heredoc("Y", "X\n", True, False)]),
        ("COPY <<file.txt /dest\nhello\nfile.txt", [Heredoc("file.txt", "hello\n", True, False)]),
        ("RUN <<eo'f'\nx\neof", [Heredoc("eof", "x\n", False, False)]),
        ("RUN <<eo\\'f\nx\neo'f", [Heredoc("eo'f", "x\n", True, False)]),
        ("RUN <<'one two'\nx\none two", [Heredoc("one two", "x\n", False, False)]),
        ("RUN <<$EOF\n$EOF", [Heredoc("$EOF", "", True, False)]),
        ("RUN <<  EOF  > foo\nx\nEOF", [Heredoc("EOF", "x\n", True, False)]),
        ("ONBUILD RUN <<E\nx\nE", [Heredoc("E", "x\n", True, False)]),
        ("RUN <<\x1fE\n\x1fE", [Heredoc("\x1fE", "", True, False)]),
    ],
)
def test_heredocs(text: str, expected: list[Heredoc]) -> None:
    dockerfile = parse(f"FROM a\n{text}\nUSER last\n")
    assert list(dockerfile.instructions[1].heredocs) == expected
    assert [instruction.keyword for instruction in dockerfile.instructions[2:]] == ["USER"]


@pytest.mark.parametrize(
    ("text", "line", "message", "hint"),
    [
        ("", 0, "holds no instructions", "FROM"),
        ("# only\n\n", 0, "holds no instructions", "FROM"),
        ("ARG A=1", 1, "there is no FROM", "begins with FROM"),
        ("RUN x\nFROM a", 1, "before the first FROM", "ARG"),
        ("FROM a\nCOPPY a b", 2, "COPPY is not an instruction", "COPY"),
        ("FROM a\nRUN apt-get install\n  curl", 3, "CURL is not an instruction", "missing"),
        ("FROM a b", 1, "FROM takes", "AS"),
        ("FROM a AS 1x", 1, "'1x'", "letter"),
        ("FROM", 1, "needs an argument", ""),
        ("ARG X\nFROM $X", 2, "comes out empty", "build argument"),
        ("FROM ${X:?say}", 1, "say", ""),
        ("ARG X='\nFROM a", 1, "single quote", ""),
        ("FROM a\nCOPY x", 2, "source and a destination", ""),
        ("FROM a\nCOPY [1]", 2, "other than strings", ""),
        ("FROM a\nRUN <<EOF\nx", 2, "has no end", "EOF"),
        ("FROM a\nENV a", 2, "has no value", "a="),
        ("FROM a\nENV a=1 b", 2, "'b' has no '='", "quote"),
        ("FROM a\nENV =b", 2, "name is missing", ""),
        ("FROM a\nARG =b", 2, "no name", ""),
        ("FROM a\nSHELL bash", 2, "JSON", ""),
        ("FROM a\nHEALTHCHECK RUN x", 2, "knows no RUN", "CMD"),
        ("FROM a\nONBUILD FROM b", 2, "cannot trigger FROM", ""),
        ("FROM a\nONBUILD", 2, "needs an argument", ""),
        ("# escape=x\nFROM a", 1, "escape", "`"),
        ("# escape=`\n# escape=`\nFROM a", 2, "second time", ""),
        ("FROM a AS x\nCOPY --from=y a b\nFROM b AS y", 2, "no stage above", ""),
        ("FROM a\nCOPY --from=0 a b", 2, "no stage above", ""),
        ("FROM a\nCOPY --from=$X a b", 2, "cannot hold a variable", "stage"),
    ],
)
def test_what_the_engine_would_refuse(text: str, line: int, message: str, hint: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        parse(text)
    assert caught.value.line == line
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.message.startswith(f"Dockerfile:{line}: " if line else "Dockerfile ")


def test_files(tmp_path: Path) -> None:
    file = tmp_path / "app.Dockerfile"
    file.write_bytes(b'\xef\xbb\xbfFROM a\r\nLABEL x="\xff"\r\nCOPY a b\r\n')
    assert read_dockerfile(file).context_sources() == ("a",)
    with pytest.raises(DockerfileError, match="cannot read"):
        read_dockerfile(tmp_path / "none")


PIECES = [
    *("FROM a", "from $B AS x", "ARG B=", "ENV A=$B", "RUN <<E", "COPY --from=x", "RUN --mount=from=a", "ADD a $A"),
    *("WORKDIR /", "HEALTHCHECK CMD [", "SHELL []", "ONBUILD ", "# escape=`", "${A:-", '["', "E", " a", "=", "'", "`"),
    *("\n", "\n", "\n\n", "\t", "\\"),
]


@given(st.one_of(st.text(max_size=80), st.lists(st.sampled_from(PIECES), max_size=25).map("".join)))
def test_any_text_is_a_dockerfile_or_refused(text: str) -> None:
    try:
        dockerfile = parse(text, {"B": "a"})
    except DockerfileError:
        return
    assert dockerfile.needed_stages()
    dockerfile.context_sources()
    dockerfile.base_images()
    for stage in dockerfile.stages:
        for instruction in stage.instructions:
            dockerfile.step_instruction(stage.name, 1, instruction.text)


def test_absurd_input_ends_soon() -> None:
    for text in (
        "FROM a\nRUN " + "[" * 200_000,
        "FROM " + "${a:-" * 50_000,
        "FROM a\nCOPY --from=" + "9" * 9_000 + " a b",
    ):
        try:
            parse(text)
        except DockerfileError:
            continue
    many = "FROM a AS s0\n" + "".join(f"FROM s{n} AS s{n + 1}\nCOPY f{n} .\n" for n in range(2_000))
    assert len(parse(many).context_sources()) == 2_000


# --- stages ---------------------------------------------------------------------------------------------------------

STAGED = """\
ARG VERSION=3.11
ARG BASE=python:${VERSION}-slim
FROM ${BASE} AS Build
COPY build.txt .
FROM scratch AS unused
COPY unused .
FROM build AS test
COPY --from=busybox:1 /bin/sh .
FROM alpine
RUN --mount=type=bind,from=TEST,target=/t x
COPY --from=0 /x /y
COPY --from=scratch / /
COPY app .
"""


def test_stages_and_what_they_need() -> None:
    dockerfile = parse(STAGED)
    assert [(stage.name, stage.image, stage.parent_stage, stage.line) for stage in dockerfile.stages] == [
        ("build", "python:3.11-slim", None, 3),
        ("unused", "scratch", None, 5),
        ("test", "build", 0, 7),
        ("", "alpine", None, 9),
    ]
    assert dockerfile.global_args == (("VERSION", "3.11"), ("BASE", "python:3.11-slim"))
    assert [stage.index for stage in dockerfile.needed_stages()] == [0, 2, 3]
    assert dockerfile.context_sources() == ("app", "build.txt")
    assert dockerfile.base_images() == ("python:3.11-slim", "busybox:1", "alpine")
    assert dockerfile.context_sources("UNUSED") == ("unused",)
    assert dockerfile.base_images("unused") == ()
    assert parse(STAGED, {"BASE": "mine"}).base_images("build") == ("mine",)
    with pytest.raises(DockerfileError, match="'biuld'") as caught:
        dockerfile.needed_stages("biuld")
    assert caught.value.hint == "did you mean build?"


def test_a_stage_that_depends_on_the_platform_may_be_any_that_fits() -> None:
    text = (
        "FROM x AS b-amd64\nCOPY one .\nFROM x AS b-arm64\nCOPY two .\nFROM y AS c\nCOPY no .\nFROM b-${TARGETARCH}\n"
    )
    assert sources(text) == ("one", "two")
    assert sources(text, TARGETARCH="arm64") == ("two",)
    assert parse(text).base_images() == ("x",)
    assert parse("FROM --platform=$TARGETPLATFORM x-$TARGETARCH").base_images() == ("x-$TARGETARCH",)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("COPY a/b ./c/ /d/../e dest/", ("a/b", "c", "e")),
        ("COPY ../../x /", ("x",)),
        ("COPY . /", (".",)),
        ("COPY src/*.py [ab]?.txt /", ("[ab]?.txt", "src/*.py")),
        ("COPY --parents ./a/./b/**/*.py /", ("a/b/**/*.py",)),
        ('COPY ["a b", "/"]', ("a b",)),
        ("COPY a\\ b /", ("a", "b")),
        ("COPY <<E real /\nx\nE", ("real",)),
        (
            "ADD https://x/y git@github.com:o/r.git git://h/x ssh://h/x local.tar github.com/x /",
            ("github.com/x", "local.tar"),
        ),
        ("RUN --mount=type=bind,source=lock,target=/l --mount=target=/all x", (".",)),
        ("RUN --mount=type=bind,src=lock,target=/l --mount=type=cache,target=/c --mount=type=secret,id=s x", ("lock",)),
        ('RUN --mount="type=bind,\\"source=a,b\\",target=/l" x', ("a,b",)),
        ("ARG D=src\nCOPY $D/a ${D}b /", ("src/a", "srcb")),
        ("ARG D\nCOPY d${D}d /", (".",)),
        ("ARG D\nCOPY ${D:-x} /", (".",)),
        ("ENV D=one\nENV D=two E=$D\nCOPY $D $E /", ("one", "two")),
        ("ENV D one two\nCOPY $D /", ("one two",)),
        ("ENV D='a b'\nCOPY $D /", ("a b",)),
        ("COPY $UNKNOWN /", (".",)),
        ("COPY '$UNKNOWN' /", ("$UNKNOWN",)),
        ("COPY 'open /", (".",)),
        ("ARG TARGETARCH\nCOPY bin-$TARGETARCH /", (".",)),
        ("ENV A=$HOME/x\nCOPY $A /", (".",)),
        ("ENV A=x\nENV A=y ${B}=1\nCOPY $A /", (".",)),
        ("ARG GLOBAL\nCOPY $GLOBAL /", ("global",)),
        ("ENV GLOBAL=local\nARG GLOBAL\nCOPY $GLOBAL /", ("global",)),
        ("ONBUILD COPY later /", ()),
        ("RUN x", ()),
    ],
)
def test_context_sources(body: str, expected: tuple[str, ...]) -> None:
    assert sources(f"ARG GLOBAL=global\nFROM image\n{body}\n") == expected


@pytest.mark.parametrize(
    ("text", "args", "expected"),
    [
        ("FROM image\nARG D=src\nCOPY $D /", {"D": "other"}, ("other",)),
        ("FROM image\nARG D\nCOPY $D /", {"D": "other"}, ("other",)),
        ("FROM image\nCOPY $D /", {"D": "undeclared"}, (".",)),
        ("ARG D=g\nFROM image\nCOPY $D /", {}, (".",)),
        ("FROM scratch\nCOPY a$D /", {}, ("a",)),
        ("FROM scratch AS p\nENV D=x\nARG E=y\nFROM p\nCOPY $D$E$F /", {}, ("xy",)),
        ("FROM image\nARG TARGETARCH\nCOPY $TARGETARCH /", {"TARGETARCH": "arm64"}, ("arm64",)),
        ("FROM image AS p\nONBUILD COPY $D /\nENV D=t\nFROM p\nRUN x", {}, ("t",)),
        ("FROM image AS p\nONBUILD COPY t /\nFROM p AS q\nFROM q", {}, ("t",)),
        ("# escape=`\nFROM image\nARG D=a`$b\nCOPY $D /", {}, ("a$b",)),
    ],
)
def test_where_variables_come_from(text: str, args: dict[str, str], expected: tuple[str, ...]) -> None:
    assert sources(text, **args) == expected


def test_a_mount_knows_stages_by_name_only() -> None:
    """Measured: BuildKit takes `from=0` of a mount for an image."""
    dockerfile = parse("FROM x AS one\nCOPY a .\nFROM y\nRUN --mount=from=0,target=/t z\n")
    assert dockerfile.base_images() == ("y", "0")
    assert dockerfile.context_sources() == ()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("RUN --mount=type=secret,id=npm x", [("secret", "npm", False)]),
        ("RUN --mount=type=secret,target=/run/x/pip.conf,required x", [("secret", "pip.conf", True)]),
        ("RUN --mount=type=secret,src=a,id=b,required=true x", [("secret", "a", True)]),
        (
            "RUN --mount=type=secret,id=a,required=false --mount=type=ssh x",
            [("secret", "a", False), ("ssh", "default", False)],
        ),
        ("RUN --mount=type=ssh,id=work,required=1 x", [("ssh", "work", True)]),
        ("ARG N=a\nRUN --mount=type=secret,id=$N x", [("secret", "a", False)]),
        ("RUN --mount=type=secret,id=$N x", [("secret", "*", False)]),
        (
            "ADD git@github.com:o/r.git /r",
            [("secret", "GIT_AUTH_*", False), ("secret", "HTTP_AUTH_*", False), ("ssh", "default", False)],
        ),
        ("RUN --mount=type=cache,target=/c x", []),
    ],
)
def test_credentials_that_a_build_asks_for(body: str, expected: list[tuple[str, str, bool]]) -> None:
    dockerfile = parse(f"FROM image AS unused\nRUN --mount=type=secret,id=other y\nFROM image\n{body}\n")
    assert [(one.kind, one.name, one.required) for one in dockerfile.credentials()] == expected
    assert [one.name for one in dockerfile.credentials("unused")] == ["other"]


def test_a_bad_trigger_is_no_error_as_long_as_nothing_triggers_it() -> None:
    dockerfile = parse("FROM x\nONBUILD what\nONBUILD COPY a b\n")
    assert [one.trigger.keyword if one.trigger else "" for one in dockerfile.instructions] == ["", "", "COPY"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("FROM a\nRUN x", ["[1/2] FROM docker.io/library/a:latest", "[2/2] RUN x"]),
        ("FROM a:1 AS B\nRUN x", ["[1/2] FROM docker.io/library/a:1", "[2/2] RUN x"]),
        ("FROM a/b\nENV a=b\nCMD x", ["[1/1] FROM docker.io/a/b:latest"]),
        ("FROM localhost/a@sha256:0", ["[1/1] FROM localhost/a@sha256:0"]),
        ("FROM r:5000/a", ["[1/1] FROM r:5000/a:latest"]),
        ("FROM $TARGETARCH-a", ["[1/1] FROM $TARGETARCH-a"]),
        # any mount, and any image that is copied from, makes BuildKit name the only stage
        ("FROM scratch\nrun --mount=type=tmpfs,target=/t x", ["[stage-0 1/1] RUN --mount=type=tmpfs,target=/t x"]),
        ("FROM scratch\nCOPY --from=busybox a b", ["[stage-0 1/1] COPY --from=busybox a b"]),
        # the root is counted, and never shown
        (
            'FROM scratch\nCOPY a /\nWORKDIR /\nWORKDIR "/"\nWORKDIR .\nWORKDIR c/d\nWORKDIR ..\nWORKDIR ..\nCOPY b /',
            ["[1/8] COPY a /", "[2/8] WORKDIR c/d", "[3/8] WORKDIR ..", "[4/8] COPY b /"],
        ),
        ("FROM scratch AS x\nONBUILD RUN t\nFROM x\nRUN y", ["[stage-1 1/2] ONBUILD RUN t", "[stage-1 2/2] RUN y"]),
        (
            "FROM scratch\n" + "RUN x\n" * 10,
            [*(f"[ {number}/10] RUN x" for number in range(1, 10)), "[10/10] RUN x"],
        ),
    ],
)
def test_steps_are_called_as_buildkit_calls_them(text: str, names: list[str]) -> None:
    """Compared with Docker 28.5, BuildKit 0.25."""
    dockerfile = parse(text)
    named = StepNames(dockerfile)
    found = [named.name_of(stage.index, one) for stage in dockerfile.stages for one in dockerfile.numbered(stage)]
    assert found == names
    assert named.name_of(0, dockerfile.instructions[0]) in {"", *names}


def test_an_instruction_is_found_by_the_step_s_name() -> None:
    dockerfile = parse(
        "FROM python:3 AS builder\nENV X=1\nWORKDIR /app\nRUN pip install \\\n    x$X\nCOPY a b\nCOPY a b\n"
        "ONBUILD RUN trigger\nFROM builder\nRUN <<E\necho\nE\nWORKDIR /\nCOPY --link c d\nCMD x\n"
    )

    def line(label: str, number: int, text: str) -> int:
        return dockerfile.line_of(label, number, text)

    assert line("builder", 1, "FROM docker.io/library/python:3@sha256:abc") == 1
    assert line("builder", 2, "WORKDIR /app") == 3
    assert line("builder", 3, "RUN pip install     x1") == 4
    assert line("builder", 4, "COPY a b") == 6
    assert line("builder", 5, "COPY a b") == 7
    assert line("linux/amd64 builder", 5, "COPY a b") == 7
    assert line("stage-1", 1, "ONBUILD RUN trigger") == 8
    assert line("stage-1", 2, "RUN <<E (echo)") == 10
    assert line("stage-1", 3, "LINK COPY --link c d") == 14
    # the base image's own triggers shift the numbers
    assert line("builder", 4, "RUN pip install x$X") == 4
    assert line("nowhere", 1, "COPY  --link c d") == 14
    assert line("builder", 9, "RUN nothing like it") == 0
    assert dockerfile.step_instruction("", 1, "RUN nothing like it") is None
    assert dockerfile.source_of(5) == ("RUN pip install \\", "    x$X")
    assert parse("FROM scratch\nARG X\nCOPY $X b").line_of("", 1, "COPY a b") == 3
    assert parse("FROM x\nARG X\nWORKDIR /\nCOPY $X b").line_of("", 2, "COPY a b") == 4
