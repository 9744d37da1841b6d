"""The console's own colours. Widgets use only the theme's variables, so every other Textual theme works too."""

from __future__ import annotations

from textual.theme import Theme

NAME = "splitdeck"

THEME = Theme(
    name=NAME,
    primary="#6fa8dc",
    secondary="#8aa0bd",
    accent="#e3b341",
    success="#79c08a",
    warning="#e0a458",
    error="#ea7a74",
    foreground="#ccd5e0",
    background="#10141a",
    surface="#151a22",
    panel="#212936",
    dark=True,
    variables={
        "border": "#6fa8dc",
        "border-blurred": "#2b3543",
        "footer-background": "#151a22",
        "footer-key-foreground": "#6fa8dc",
        "footer-description-foreground": "#8b98a9",
        "input-selection-background": "#6fa8dc 35%",
        "scrollbar": "#2b3543",
        "scrollbar-hover": "#3a4759",
        "scrollbar-active": "#6fa8dc",
        "scrollbar-background": "#10141a",
        "scrollbar-background-hover": "#10141a",
        "scrollbar-background-active": "#10141a",
        "track-legacy": "#d98c5f",
        "track-split": "#5fc3b0",
    },
)

FALLBACKS = {"track-legacy": "$warning", "track-split": "$success"}
"""The variables that only our theme defines, as other themes get them."""
