#!/bin/sh
# Runs a service with its log in /var/log; init starts it again when it ends.
name=$1
shift
# An engine that was killed left its pid file behind, and pids repeat: dockerd would wait for a stranger.
[ "$name" != dockerd ] || rm -f /run/docker.pid
# The kernel's default is too low for an engine; where it cannot be raised it is somebody's decision.
ulimit -n 65536 2>/dev/null
exec "$@" >>"/var/log/$name.log" 2>&1 </dev/null
