"""Reads an exposition in OpenMetrics, with the parser of Prometheus's Python client, and writes what is in it as JSON.

With the argument "probe" it only says whether that parser is there.
"""
import json
import sys

try:
    from prometheus_client.openmetrics.parser import text_string_to_metric_families
except ImportError as error:
    sys.exit("not here: %s" % error)

if sys.argv[1:] != ["probe"]:
    text = sys.stdin.buffer.read().decode("utf-8")
    json.dump(
        [
            [family.name, family.type, family.unit, family.documentation,
             [[sample.name, sample.labels, sample.value] for sample in family.samples]]
            for family in text_string_to_metric_families(text)
        ],
        sys.stdout,
    )
