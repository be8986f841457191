"""
Framing: where a request ends (RFC 9112, section 6).

What lives here: what waitress's parser is too lenient about.  What must not: how long a request may
take (`regauth.servers.connections`), and what is asked.
"""

from waitress.parser import HTTPRequestParser, ParsingError


class FramedRequest(HTTPRequestParser):  # type: ignore[misc]
    """
    A request that has one end, where waitress takes requests that could have two.

    Whoever stands in front and reads another end than we do sends us the rest of one client's
    request as another client's (request smuggling).
    """

    def received(self, data: bytes) -> int:
        """Take what came; a request that is whole is not asked to go on (RFC 9110, 10.1.1)."""
        taken = int(super().received(data))
        if self.completed:  # else waitress would take the next request's headers for this one's
            self.expect_continue = False
        return taken

    def parse_header(self, header_plus: bytes) -> None:
        """
        Read line and headers.

        Raises:
            ParsingError: The version is not ours, or the body's end is said in two ways (RFC 9112,
                sections 2.3, 6.1 and 6.3).
        """
        super().parse_header(header_plus)
        if self.version not in ("1.0", "1.1"):
            message = "HTTP/1.0 or HTTP/1.1 is spoken here"
            raise ParsingError(message)
        # waitress has taken away a coding that it knows, which HTTP/1.0 has not
        if "TRANSFER_ENCODING" in self.headers or (
            self.chunked and "CONTENT_LENGTH" in self.headers
        ):
            message = "the end of the body is said in two ways"
            raise ParsingError(message)
