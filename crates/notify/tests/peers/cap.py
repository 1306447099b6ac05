"""cap.py FILE...: for each file a line, what the World Meteorological Organization's validator says of it by the OASIS schema."""
import sys

from capvalidator.validate import Validator

for path in sys.argv[1:]:
    with open(path, "rb") as file:
        good, why = Validator(file.read()).schema()
    print("good" if good else f"bad: {why}")
