"""Decides which beds of plot 27 are watered tonight, and for how long.

The soil sensors are read once an hour; see the watering plan for what to do when they fail.
"""

from dataclasses import dataclass

# Nothing is watered above this share of water in the soil.
MAX_SOIL_MOISTURE = 0.32

# Minutes a night for each crop, found by trying.
MINUTES_A_NIGHT = {
    "runner beans": 14,
    "onions": 6,
    "tomatoes": 11,
    "currants": 4,
}

# On hot days everything gets half as much again.
HOT_DAY_CELSIUS = 28.0
HOT_DAY_FACTOR = 1.5


@dataclass
class Bed:
    number: int
    crop: str
    soil_moisture: float


def minutes_tonight(bed: Bed, highest_celsius: float) -> float:
    """How long the valve of a bed stays open tonight."""
    if bed.soil_moisture > MAX_SOIL_MOISTURE:
        return 0.0
    minutes = MINUTES_A_NIGHT.get(bed.crop, 5)
    if highest_celsius >= HOT_DAY_CELSIUS:
        minutes *= HOT_DAY_FACTOR
    return minutes


def plan(beds: list[Bed], highest_celsius: float) -> dict[int, float]:
    """Minutes by bed number, beds that stay dry left out."""
    minutes = {bed.number: minutes_tonight(bed, highest_celsius) for bed in beds}
    return {number: m for number, m in minutes.items() if m > 0}


if __name__ == "__main__":
    tonight = plan(
        [Bed(1, "tomatoes", 0.21), Bed(2, "onions", 0.35), Bed(4, "runner beans", 0.24)],
        highest_celsius=29.5,
    )
    for number, m in sorted(tonight.items()):
        print(f"bed {number}: {m:g} minutes")
