"""Reading Dockerfiles as BuildKit does: text → instructions → stages → what each of them takes."""

from console.build.dockerfile.instructions import Heredoc, Instruction
from console.build.dockerfile.reader import Dockerfile, Stage, parse_dockerfile, read_dockerfile

__all__ = ["Dockerfile", "Heredoc", "Instruction", "Stage", "parse_dockerfile", "read_dockerfile"]
