SELECT site, source, field, payload, batch_id FROM dead_letters ORDER BY payload
