"""The text of an HTTP/2 header (RFC 7541, appendix B), for the few characters that tests need."""

CODES = {
    " ": "010100",
    "-": "010110",
    "B": "1011101",
    "a": "00011",
    "c": "00100",
    "e": "00101",
    "f": "100101",
    "h": "100111",
    "o": "00111",
    "r": "101100",
    "s": "01000",
    "t": "01001",
}


def huffman(text: str) -> bytes:
    """Return the text in HPACK's Huffman code, without its length, padded with ones."""
    bits = "".join(CODES[character] for character in text)
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")
