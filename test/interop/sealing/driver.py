"""Opens, seals and counts with the programs of docs/guides, as the JSON on standard input says."""

import json
import sys

from counting import count_opening
from opening import SealError, open_sealed
from sealing import seal


def read(message, keys):
    try:
        token, _ = open_sealed(
            {name: message[name] for name in ("authorization", "traceparent") if name in message},
            message["source"],
            keys,
            now=message.get("now"),
        )
        return token
    except SealError:
        return "refused"


def count(opening):
    import redis

    client = redis.Redis.from_url(opening["url"])
    return count_opening(client, opening["kid"], opening["sealed"], opening["exp"])


task = json.load(sys.stdin)
keys = {key["kid"]: key for key in task.get("keys", [])}
result = {
    "opened": [read(message, keys) for message in task.get("messages", [])],
    "sealed": [seal(**arguments) for arguments in task.get("seal", [])],
    "counted": [count(opening) for opening in task.get("count", [])],
}
json.dump(result, sys.stdout)
