SELECT date, timestamp, path FROM access_logs WHERE date = DATE '2026-01-03' ORDER BY timestamp, path
