"""`splitdeck doctor`: what keeps a project from being built and served here, and what will make that slow.

Nothing is built or changed. `finding` is what a check gives, `runner` runs them with deadlines, and the checks are in
`engine_checks` (what takes the engine), `project_checks` (what takes the files only) and `secret_checks`.
"""

from console.doctor.runner import run_doctor

__all__ = ["run_doctor"]
