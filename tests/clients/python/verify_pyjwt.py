"""PyJWT judges access tokens as a resource server would: one token on each line in, one verdict on each line out. It
never asks for a set again because of an unknown key: what it has must do until it is too old."""

import sys

import jwt

issuer, audience, max_age = sys.argv[1:]
keys = jwt.PyJWKClient(f"{issuer}/jwks", lifespan=float(max_age), cooldown_duration=3600)
for line in sys.stdin:
    token = line.strip()
    try:
        jwt.decode(token, keys.get_signing_key_from_jwt(token), audience=audience, issuer=issuer,
                   algorithms=["EdDSA", "ES256", "RS256"])
        print("good", flush=True)
    except jwt.PyJWTError as why:
        print(f"{type(why).__name__}: {why}".replace("\n", " "), flush=True)
