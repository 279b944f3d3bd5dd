"""Run benchmarks/NAME.py one after the other, every file that can be run if none is named: `course.py bench`."""

import sys
import time

import course


def main(names: list[str]) -> int:
    """1 if one of them failed; it is named."""
    files = sorted((course.ROOT / "benchmarks").glob("*.py"))
    scripts = {file.stem: file for file in files if "__main__" in file.read_text(encoding="utf-8")}
    for name in names:
        if name not in scripts:
            print(f"There is no benchmark {name!r}; there is: {', '.join(scripts)}.", file=sys.stderr)
            return 1
    failed = []
    for name in names or scripts:
        print(f"---- {name}", flush=True)
        began = time.monotonic()
        if course.call([sys.executable, scripts[name]]) != 0:
            failed.append(name)
        print(f"---- {name}: {time.monotonic() - began:.0f} s", flush=True)
    if failed:
        print(f"Failed: {', '.join(failed)}.", file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
