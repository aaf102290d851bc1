"""How choices are proposed and remembered: ask, build, measure, tell; resume; confirm."""
