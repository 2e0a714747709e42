"""Chooses the corpus to keep: a few inputs that together reach most of what all inputs reach.

Reads the control file of libFuzzer's merge, which says what each input reaches. Prints the files,
the most useful first. For `fuzz/run --keep`.
"""

import sys

# Limits for each target, to keep the repository small. The fuzzer soon finds the other inputs
# again.
FILES = 60
BYTES = 200_000


def main(control):
    lines = iter(open(control, encoding="utf-8").read().splitlines())
    files = int(next(lines))
    next(lines)
    names = [next(lines) for _ in range(files)]
    sizes, reached = {}, {}
    for line in lines:
        what, index, *rest = line.split()
        if what == "STARTED":
            sizes[int(index)] = int(rest[0])
        elif what == "FT":
            reached[int(index)] = set(map(int, rest))

    covered, size = set(), 0
    for _ in range(FILES):
        # Of two inputs that reach as much, it takes the shorter one; of two of the same length,
        # always the same one.
        best = max(reached, key=lambda index: (len(reached[index] - covered), -sizes[index], names[index]), default=None)
        if best is None or not reached[best] - covered:
            return
        covered |= reached.pop(best)
        size += sizes[best]
        if size > BYTES:
            return
        print(names[best])


main(sys.argv[1])
