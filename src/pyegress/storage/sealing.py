"""Secrets on the disk: encrypted with a key that the configuration has, or not at all."""

from __future__ import annotations

import base64
import os

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from pyegress.errors import Code, EgressError

_SALT_BYTES = 16
#: A guess costs an attacker 16 MB and some 30 ms.
_COST = {"n": 1 << 14, "r": 8, "p": 1}


def seal(secret: bytes, key: str) -> bytes:
    """`secret` encrypted and authenticated (Fernet), with a key made of `key` by scrypt and a salt of its own."""
    salt = os.urandom(_SALT_BYTES)
    return salt + _fernet(key, salt).encrypt(secret)


def unseal(sealed: bytes, key: str) -> bytes:
    """What `seal` was given. Raises EgressError when the key is another one or the bytes are damaged."""
    try:
        return _fernet(key, sealed[:_SALT_BYTES]).decrypt(sealed[_SALT_BYTES:])
    except InvalidToken:
        raise EgressError(
            "The request's credentials in the spool were encrypted with another key",
            field="spool.encryption_key",
            code=Code.FAILED_PRECONDITION,
            remedy="Configure the key that was configured when the egress was started",
        ) from None


def _fernet(key: str, salt: bytes) -> Fernet:
    derived = Scrypt(salt=salt, length=32, **_COST).derive(key.encode())
    return Fernet(base64.urlsafe_b64encode(derived))
