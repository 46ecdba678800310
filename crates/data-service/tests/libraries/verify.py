"""Verifies requests with the library of Standard Webhooks. stdin: [{key, headers, body}]; stdout: [true or false]."""

import json
import sys

from standardwebhooks import Webhook, WebhookVerificationError


def accepts(request: dict) -> bool:
    try:
        Webhook(request["key"]).verify(request["body"], request["headers"])
    except WebhookVerificationError:
        return False
    return True


print(json.dumps([accepts(request) for request in json.load(sys.stdin)]))
