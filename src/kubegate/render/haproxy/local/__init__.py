"""The local proxy as HAProxy's configuration, and the Lua beside it."""
