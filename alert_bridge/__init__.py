"""The webhook service: OTLP in, one message per problem out, to the audience it concerns."""
