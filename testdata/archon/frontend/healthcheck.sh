#!/bin/bash
# Docker's HEALTHCHECK for an image that has neither Python nor curl: bash speaks enough HTTP for this.
set -eu
exec 3<>/dev/tcp/127.0.0.1/8080
printf 'GET /health HTTP/1.0\r\n\r\n' >&3
read -r -t 3 _ status _ <&3
[ "$status" = 200 ]
