"""Writes the data that the book trains on: flowers.csv (three classes) and houses.csv (prices). Both are made up.

    cd docs/data && python3 make.py
"""
import random

draw = random.Random(7)

KINDS = {"anemone": (2.4, 1.1, 5.0, 12), "crocus": (3.1, 0.8, 9.5, 7), "dahlia": (5.2, 1.9, 8.0, 40)}
with open("flowers.csv", "w", newline="\n") as file:
    file.write("petal_length,petal_width,stem_length,petals,kind\n")
    for k in range(240):
        kind = list(KINDS)[k % 3]
        length, width, stem, petals = KINDS[kind]
        file.write(f"{draw.gauss(length, 0.7):.1f},{draw.gauss(width, 0.3):.1f},{draw.gauss(stem, 2):.1f},"
                   f"{max(4, round(draw.gauss(petals, petals / 4)))},{kind}\n")

with open("houses.csv", "w", newline="\n") as file:
    file.write("area,rooms,age,distance,price\n")
    for k in range(400):
        area, age, distance = draw.uniform(40, 220), draw.randrange(0, 90), draw.uniform(0.5, 30)
        rooms = max(1, round(area / 28 + draw.gauss(0, 0.8)))
        price = 40_000 + 2_600 * area + 9_000 * rooms - 700 * age - 3_500 * distance + draw.gauss(0, 20_000)
        file.write(f"{area:.0f},{rooms},{age},{distance:.1f},{max(30_000, round(price, -2)):.0f}\n")
