"""The mark of the app, a simplex of three directions, drawn here so that nothing is fetched."""

from __future__ import annotations

_SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} 64">{drawing}</svg>'
_MARK = (
    '<path d="M32 36V10M32 36 9 50M32 36l23 14" stroke="#3A8FC4" stroke-width="5"/>'
    '<circle cx="32" cy="10" r="8" fill="#3A8FC4"/>'
    '<circle cx="9" cy="50" r="8" fill="#009E73"/>'
    '<circle cx="55" cy="50" r="8" fill="#D55E00"/>'
)
_NAME = (
    # A length of its own: fonts differ in width, and what is beyond the box is cut.
    '<text x="78" y="46" font-family="Source Sans, Helvetica, Arial, sans-serif" font-size="42" '
    'font-weight="700" fill="#3A8FC4" textLength="116" lengthAdjust="spacingAndGlyphs">ncviz</text>'
)

ICON = _SVG.format(width=64, drawing=_MARK)
LOGO = _SVG.format(width=200, drawing=_MARK + _NAME)
