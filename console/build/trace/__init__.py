"""What builders say about a running build, in one form. BuildKit's word *vertex* stays here and in `steps`."""

from console.build.trace.rawjson import decode_rawjson, is_trace_line
from console.build.trace.status import decode_status
from console.build.trace.updates import StatusUpdate, TraceError, Vertex, VertexLog, VertexStatus, VertexWarning

__all__ = [
    "StatusUpdate",
    "TraceError",
    "Vertex",
    "VertexLog",
    "VertexStatus",
    "VertexWarning",
    "decode_rawjson",
    "decode_status",
    "is_trace_line",
]
