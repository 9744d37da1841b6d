"""A terminal that goes away takes whatever is written."""

from __future__ import annotations

import io

from console.ui.terminal import LastingOutput


class Gone(io.StringIO):
    """Refuses everything, as a terminal does that was closed."""

    tries = 0

    def write(self, text: str) -> int:
        self.tries += 1
        raise OSError(5, "Input/output error")


def test_after_the_first_failure_nothing_is_tried_any_more() -> None:
    gone = Gone()
    output = LastingOutput(gone)
    assert [output.write(text) for text in ("one", "four")] == [3, 4]
    output.flush()
    assert gone.tries == 1


def test_while_it_is_there_it_is_written_to() -> None:
    file = io.StringIO()
    output = LastingOutput(file)
    output.writelines(["a", "b"])
    output.flush()
    assert (file.getvalue(), output.isatty()) == ("ab", False)
