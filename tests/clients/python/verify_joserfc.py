"""joserfc judges access tokens as a resource server would, with the set kept for as long as its Cache-Control says: one
token on each line in, one verdict on each line out."""

import re
import sys
import time
import warnings

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

# It would have EdDSA called otherwise (RFC 9864), which few do yet.
warnings.filterwarnings("ignore", message="EdDSA is deprecated")
issuer, audience, _max_age = sys.argv[1:]
registry = jwt.JWTClaimsRegistry(iss={"essential": True, "value": issuer}, aud={"essential": True, "value": audience})
keys, until = None, 0.0
for line in sys.stdin:
    if time.monotonic() >= until:
        asked, answer = time.monotonic(), httpx.get(f"{issuer}/jwks", timeout=30).raise_for_status()
        keys = KeySet.import_key_set(answer.json())
        until = asked + int(re.search(r"max-age=(\d+)", answer.headers["cache-control"])[1])
    try:
        registry.validate(jwt.decode(line.strip(), keys, algorithms=["EdDSA", "ES256", "RS256"]).claims)
        print("good", flush=True)
    except (JoseError, ValueError) as why:
        print(f"{type(why).__name__}: {why}".replace("\n", " "), flush=True)
