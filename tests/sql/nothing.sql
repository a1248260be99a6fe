SELECT path, status FROM access_logs WHERE path = '/nowhere'
