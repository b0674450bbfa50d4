"""The checksum of TensorFlow's tables: CRC-32C (RFC 3720, B.4), masked as leveldb masks it."""

from typing import Final

_POLYNOMIAL: Final = 0x82F63B78  # Castagnoli's, reflected


def _entry(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (_POLYNOMIAL if byte & 1 else 0)
    return byte


_TABLE: Final = tuple(map(_entry, range(256)))


def masked_crc32c(data: bytes) -> int:
    """Return the masked checksum of `data`, as it is stored behind a block."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
