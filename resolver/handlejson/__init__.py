"""Handle JSON: records as the HTTP API and the load file write them (features-and-contracts §2.3).

Input is what orjson read, output is bytes: key order index, type, data, permissions, ttl, timestamp, references;
values sorted by index.
"""

from resolver.handlejson.fields import HandleJsonError
from resolver.handlejson.site import site_to_json
from resolver.handlejson.value import values_from_json, values_to_json

__all__ = ["HandleJsonError", "site_to_json", "values_from_json", "values_to_json"]
