#!/bin/sh
# Kafka's tool for topics, under the name that it has in Apache's image.
# shellcheck disable=SC2086  # Options of Java are words.
exec java ${KAFKA_HEAP_OPTS:-} -cp "/opt/kafka/libs/*" org.apache.kafka.tools.TopicCommand "$@"
