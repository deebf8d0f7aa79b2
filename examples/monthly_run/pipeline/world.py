"""A made-up world with conflict in it: monthly fatalities per country and per grid cell, the same for the same seed."""

from __future__ import annotations

import random
from dataclasses import dataclass

from pipeline import faults

COUNTRIES = 24
CELLS_PER_COUNTRY = 4
MONTHS = 60

Series = dict[str, list[float]]  # unit id -> fatalities per month, oldest first


@dataclass(frozen=True, slots=True)
class World:
    """Observed fatalities at both levels; a country is the sum of its cells."""

    cells: Series

    @property
    def countries(self) -> Series:
        totals: Series = {}
        for cell, months in self.cells.items():
            total = totals.setdefault(country_of(cell), [0.0] * len(months))
            for month, fatalities in enumerate(months):
                total[month] += fatalities
        return totals

    def at(self, level: str) -> Series:
        """The series of one level: `cm` (country-month) or `pgm` (grid-cell-month)."""
        return self.countries if level == "cm" else self.cells


def country_of(cell: str) -> str:
    return cell.partition("-")[0]


def observe(seed: int) -> World:
    """Sixty months of observations, most of them zero, a few countries at war."""
    dice = random.Random(seed)
    cells: Series = {}
    for country in range(COUNTRIES):
        intensity = dice.choice([0.0, 0.1, 0.4, 2.0, 30.0])
        for cell in range(CELLS_PER_COUNTRY):
            level = intensity * dice.random()
            months = []
            for _ in range(MONTHS):
                level = max(0.0, 0.9 * level + dice.gauss(0.1 * intensity, 0.3 * intensity))
                months.append(float(round(level)))
            cells[f"c{country:02d}-g{cell}"] = months
    if faults.is_on("zero_month"):
        for months in cells.values():
            months[-1] = 0.0
    return World(cells)
