"""Traces of runs by OpenTelemetry: spans, and how they are sent. Loaded only where PENSTOCK_TELEMETRY_TRACES asks for
it; needs the extra `otel`."""
