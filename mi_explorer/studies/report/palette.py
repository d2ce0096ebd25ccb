"""The colours of everything that is drawn, in Python and (`LAMBDA_SCALE` goes out with the page's setup) in the browser.

Categories are Okabe and Ito's colours, which the colour-blind can tell apart; λ is one sequential scale from Instruct's
blue to Thinking's vermilion.
"""

BLUE, VERMILION, GREEN, PURPLE = "#0072b2", "#d55e00", "#009e73", "#cc79a7"  # Okabe–Ito
SKY, AMBER, BROWN = "#56b4e9", "#e69f00", "#8a5a00"
GREY, SLATE = "#8a8f9b", "#565c69"
INSTRUCT, THINKING = BLUE, VERMILION
ACCURACY, TOKENS, THINK_RATIO = GREEN, BLUE, PURPLE  # one colour a measure where there is one curve
CURVES = (BLUE, VERMILION, GREEN, PURPLE, SKY, BROWN, SLATE)  # one a curve where there are several
# RGB at equal steps of λ, mixed in a perceptual space: a mix of the ends alone would pass through grey.
LAMBDA_SCALE = (
    (0, 114, 178),
    (67, 103, 184),
    (106, 90, 180),
    (140, 78, 160),
    (170, 73, 125),
    (194, 77, 78),
    (213, 94, 0),
)


def lambda_colour(lam: float) -> str:
    """The colour of a λ as "#rrggbb"; λ below 0 and above 1 have the colours of the ends."""
    at = min(max(lam, 0.0), 1.0) * (len(LAMBDA_SCALE) - 1)
    i = min(int(at), len(LAMBDA_SCALE) - 2)
    mixed = (round(a + (b - a) * (at - i)) for a, b in zip(LAMBDA_SCALE[i], LAMBDA_SCALE[i + 1], strict=True))
    return "#" + "".join(f"{c:02x}" for c in mixed)
