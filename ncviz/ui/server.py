"""What Streamlit's server does unasked, and this app promises not to do."""

from __future__ import annotations

import streamlit as st
from streamlit import net_util, runtime

_FRAMING = 1 << 20
"""bytes that an upload may have around the file"""


def keep_to_itself() -> None:
    """Let the server ask nobody for its own address, and hold uploads in memory alone.

    A browser that comes from another site makes Streamlit look up the machine's addresses, on the
    internet if need be, to see whether the site is the app itself: whoever serves it under another
    name says so in the configuration. Of an upload, Starlette puts what is beyond 1 MB into a
    temporary file.
    """
    if not runtime.exists():  # a page that is run as a plain script has no server
        return
    from starlette.formparsers import MultiPartParser

    net_util.get_external_ip = net_util.get_internal_ip = _unknown
    largest = st.get_option("server.maxUploadSize") << 20
    MultiPartParser.spool_max_size = largest + _FRAMING


def _unknown() -> None:
    return None
