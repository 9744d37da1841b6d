"""Dockerfiles drawn from their grammar: nearly all of them are good, and use what is rare."""

from __future__ import annotations

from hypothesis import strategies as st

NAMES = ("a", "base", "Two", "stage-1", "x_1.y")
VARIABLES = ("A", "B", "TARGETARCH", "PATH")

variable = st.sampled_from(VARIABLES)
name = st.sampled_from(NAMES)
word = st.one_of(
    st.sampled_from(["a", "b/c", "./d", "*.py", "/", "..", "a\\ b", "'q r'", '"s t"', "é", "x.tar", "80/tcp"]),
    st.builds("${}".format, variable),
    st.builds("${{{}}}".format, variable),
    st.builds("${{{}:-{}}}".format, variable, st.sampled_from(["", "d", "$B", "${B:+x}"])),
    st.builds("${{{}{}}}".format, variable, st.sampled_from(["#a*", "%%?b", "/a/b", "//a/", ":?no", "+y"])),
)
words = st.lists(word, min_size=1, max_size=4).map(" ".join)
json_list = st.lists(word, min_size=2, max_size=3).map(
    lambda items: "[" + ", ".join('"' + item.replace("\\", "\\\\").replace('"', '\\"') + '"' for item in items) + "]"
)
origin = st.one_of(name, st.sampled_from(["0", "1", "9", "busybox:1", "scratch"]))
assignment = st.builds("{}={}".format, variable, word)
document = st.sampled_from(["", "x\n", "\tdeep\n", "# kept\n\\\n", "FROM inner\n", "$A\n"])


def heredoc(begin: str, body: str, *, chomp: bool, quoted: bool) -> str:
    mark = ("-" if chomp else "") + ("'EOF'" if quoted else "EOF")
    return f"{begin.format(f'<<{mark}')}\n{body}{chr(9) * chomp}EOF"


instruction = st.one_of(
    st.builds("RUN {}".format, words),
    st.builds("RUN {}".format, json_list),
    st.builds("RUN --mount=type={},source={},target=/t {}".format, st.sampled_from(["bind", "cache"]), word, words),
    st.builds("RUN --mount=from={},target=/t --network=none {}".format, origin, words),
    st.builds(
        heredoc, st.sampled_from(["RUN {}", "COPY {} /d", "RUN cat {} > x"]), document,
        chomp=st.booleans(), quoted=st.booleans(),
    ),
    st.builds("{} {} /dest/".format, st.sampled_from(["COPY", "ADD", "copy --link"]), words),
    st.builds("COPY {}".format, json_list),
    st.builds("COPY --from={} {} .".format, origin, words),
    st.builds("ADD --checksum=sha256:1 https://x/{} .".format, word),
    st.builds("ENV {}".format, st.lists(assignment, min_size=1, max_size=3).map(" ".join)),
    st.builds("ENV {} {}".format, variable, words),
    st.builds("ARG {}".format, st.one_of(variable, assignment)),
    st.builds("WORKDIR {}".format, word),
    st.builds("{} {}".format, st.sampled_from(["CMD", "ENTRYPOINT", "LABEL l", "USER", "EXPOSE", "VOLUME"]), words),
    st.builds("HEALTHCHECK --interval=5s CMD {}".format, words),
    st.just('SHELL ["/bin/bash", "-c"]'),
    st.builds("ONBUILD {} {} .".format, st.sampled_from(["COPY", "RUN", "ADD"]), words),
    st.sampled_from(["# a comment", "", "   ", "  # indented", "STOPSIGNAL 9", "MAINTAINER me"]),
)  # fmt: skip
begin = st.one_of(
    st.builds("FROM {} AS {}".format, st.one_of(name, st.sampled_from(["python:3.11-slim", "${A:-x}", "x:$B"])), name),
    st.builds("FROM --platform=$BUILDPLATFORM {}".format, st.one_of(name, st.just("scratch"))),
    st.builds("from {}".format, st.one_of(name, st.just("docker.io/library/x@sha256:0"))),
)
stage = st.builds(lambda first, rest: [first, *rest], begin, st.lists(instruction, max_size=6))


def _written(head: list[str], stages: list[list[str]], end: str, wrap: bool) -> str:
    escape = "`" if any("escape=`" in line for line in head) else "\\"
    lines = head + [line for stage in stages for line in stage]
    if wrap:  # a break at a space, with a comment and an empty line in between
        plain = [not line.startswith("#") and "<<" not in line for line in lines]
        broken = f" {escape}\n# more\n\n  "
        lines = [line.replace(" ", broken, 1) if bare else line for line, bare in zip(lines, plain, strict=True)]
    return "\n".join([*lines, ""]).replace("\n", end)


dockerfile = st.builds(
    _written,
    st.lists(
        st.one_of(
            st.sampled_from(["# syntax=docker/dockerfile:1", "# escape=`", "#check=skip=all", "#!/usr/bin/x", ""]),
            st.builds("ARG {}".format, st.one_of(variable, assignment)),
        ),
        max_size=3,
    ),
    st.lists(stage, min_size=1, max_size=4),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)
