import hashlib
import zlib
from base64 import b64encode
from typing import Any

import pytest

from job.storage.checksums import ALGORITHMS, Checks, Damaged, offered

DATA = b"123456789"
KNOWN = {  # the check values that the catalogues of these algorithms list for DATA
    "crc32": "cbf43926",
    "crc32c": "e3069283",
    "crc64nvme": "ae8b14860a799888",
    "md5": "25f9e794323b453885f5181f1b624d0b",
    "sha1": "f7c3bc1d808e04732adf679965ccc34ca7ae3441",
    "sha256": "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
}


def base64(hexadecimal: str) -> str:
    return b64encode(bytes.fromhex(hexadecimal)).decode()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_each_algorithm_is_the_one_that_its_name_says(algorithm: str) -> None:
    """In one piece or in several, the checksum of the nine digits is the published one."""
    for pieces in ([DATA], [DATA[:4], b"", DATA[4:]]):
        checks = Checks({algorithm: KNOWN[algorithm]})
        for piece in pieces:
            checks.update(piece)
        assert checks.verify() == (algorithm,)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_one_flipped_bit_is_damage(algorithm: str) -> None:
    """What came and what was expected are both named."""
    checks = Checks({algorithm: KNOWN[algorithm]})
    checks.update(b"123456788")
    with pytest.raises(Damaged, match=f"its {algorithm} is .* and {KNOWN[algorithm]} was expected") as caught:
        checks.verify()
    assert caught.value.actual != KNOWN[algorithm]


@pytest.mark.parametrize("algorithm", [name for name in ALGORITHMS if name != "md5"])
def test_a_stores_checksum_is_offered(algorithm: str) -> None:
    """S3 answers with what it keeps of the whole object, in base64."""
    assert offered({f"Checksum{algorithm.upper()}": base64(KNOWN[algorithm])}) == {algorithm: KNOWN[algorithm]}


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ({"ETag": f'"{KNOWN["md5"]}"'}, {"md5": KNOWN["md5"]}),
        ({"ETag": f'"{KNOWN["md5"]}"', "ServerSideEncryption": "AES256"}, {"md5": KNOWN["md5"]}),
        ({"ETag": f'"{KNOWN["md5"]}"', "ServerSideEncryption": "aws:kms"}, {}),
        ({"ETag": f'"{KNOWN["md5"]}"', "SSECustomerAlgorithm": "AES256"}, {}),
        ({"ETag": f'"{KNOWN["md5"]}"', "StorageClass": "EXPRESS_ONEZONE"}, {}),
        ({"ETag": f'"{KNOWN["md5"]}-12"'}, {}),
        ({"ETag": 'W/"some"'}, {}),
        ({"ChecksumCRC32": f"{base64(KNOWN['crc32'])}-3"}, {}),
        ({"ChecksumCRC32": base64(KNOWN["crc32"]), "ChecksumType": "COMPOSITE"}, {}),
        ({"ChecksumCRC32": base64(KNOWN["crc32"]), "ChecksumType": "FULL_OBJECT"}, {"crc32": KNOWN["crc32"]}),
        ({"ChecksumCRC32": "no base64!"}, {}),
        ({"ChecksumCRC32": base64("00")}, {}),
        ({"Metadata": {"sha256": KNOWN["sha256"].upper()}}, {"sha256": KNOWN["sha256"]}),
        ({"Metadata": {"sha256": "of a thing"}}, {}),
        ({"Metadata": {"md5chksum": base64(KNOWN["md5"])}}, {"md5": KNOWN["md5"]}),
        ({}, {}),
    ],
)
def test_only_what_is_of_all_the_bytes_is_offered(answer: dict[str, Any], found: dict[str, str]) -> None:
    """An ETag is the MD5 of one piece that no key of the user's encrypts; checksums of checksums are none."""
    assert offered(answer) == found


def test_googles_checksums_are_offered() -> None:
    """Google Cloud Storage puts them into a header of its own."""
    header = f"crc32c={base64(KNOWN['crc32c'])}, md5={base64(KNOWN['md5'])}"
    answer = {"ResponseMetadata": {"HTTPHeaders": {"x-goog-hash": header}}}
    assert offered(answer) == {"crc32c": KNOWN["crc32c"], "md5": KNOWN["md5"]}


def test_all_that_is_known_is_compared() -> None:
    """An MD5 that agrees does not excuse a CRC that does not."""
    checks = Checks({"md5": hashlib.md5(DATA, usedforsecurity=False).hexdigest(), "crc32": f"{zlib.crc32(b''):08x}"})
    checks.update(DATA)
    with pytest.raises(Damaged, match="crc32"):
        checks.verify()
