"""The maps of colours of all pictures, still and moving: for every kind of colour vision, and in grey."""

__all__ = ["BLUE_WHITE_ORANGE", "CIVIDIS"]

# Anchors at equal distances. From 0 upwards: Nunez, Anderton and Renslow 2018.
CIVIDIS = (
    "#00224E", "#123570", "#3B496C", "#575D6D", "#707173",
    "#8A8678", "#A59C74", "#C3B369", "#E1CC55", "#FEE838",
)  # fmt: skip
# Blue below 0, white at 0, orange above.
BLUE_WHITE_ORANGE = ("#004C7A", "#0072B2", "#7FB8D8", "#FFFFFF", "#F5B27A", "#D55E00", "#8F3F00")
