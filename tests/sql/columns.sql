SELECT table_name, column_name, data_type FROM information_schema.columns
WHERE table_name IN ('access_logs', 'dead_letters', 'rollup_by_bot', 'rollup_by_path', 'rollup_by_status', 'rollup_by_user_agent')
ORDER BY table_name, ordinal_position
