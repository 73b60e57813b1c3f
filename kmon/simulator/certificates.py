"""Certificates for places with TLS: a good one, and those that a client must refuse. Made new each time."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509 import Certificate, CertificateBuilder

Flaw = Literal["none", "expired", "foreign", "self-signed"]
"""``foreign``: for another host."""

AUTHORITY = "kmon simulator authority"
HERE = "127.0.0.1"
ELSEWHERE = "elsewhere.example"
DAY = datetime.timedelta(days=1)


class Authority:
    """A new certificate authority, which no client trusts by default. Imports cryptography."""

    def __init__(self) -> None:
        self._key = _new_key()
        self._certificate = _signed(_builder(AUTHORITY, AUTHORITY, self._key, authority=True), self._key)

    @property
    def pem(self) -> bytes:
        """The authority's certificate, for a client that is to trust it."""
        from cryptography.hazmat.primitives.serialization import Encoding

        return self._certificate.public_bytes(Encoding.PEM)

    def context(self, flaw: Flaw = "none") -> ssl.SSLContext:
        """The server's TLS context with a certificate that has this flaw and no other."""
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        key = _new_key()
        name = ELSEWHERE if flaw == "foreign" else HERE
        alone = flaw == "self-signed"
        builder = _builder(name, name if alone else AUTHORITY, key, expired=flaw == "expired")
        certificate = _signed(builder, key if alone else self._key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.TemporaryDirectory() as folder:  # load_cert_chain reads files only
            chain = Path(folder, "chain.pem")
            private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            chain.write_bytes(private + certificate.public_bytes(Encoding.PEM))
            context.load_cert_chain(chain)
        return context


def _new_key() -> EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _builder(
    name: str, issuer: str, key: EllipticCurvePrivateKey, *, authority: bool = False, expired: bool = False
) -> CertificateBuilder:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    def named(common: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])

    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 30 * DAY)
        .not_valid_after(now - DAY if expired else now + 30 * DAY)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if authority:
        return builder
    host = x509.IPAddress(ipaddress.ip_address(name)) if name == HERE else x509.DNSName(name)
    return builder.add_extension(x509.SubjectAlternativeName([host]), critical=False)


def _signed(builder: CertificateBuilder, key: EllipticCurvePrivateKey) -> Certificate:
    from cryptography.hazmat.primitives import hashes

    return builder.sign(key, hashes.SHA256())
