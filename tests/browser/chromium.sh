#!/bin/sh
# A Chromium for the browser tests: the system's; else from apt when root; else Playwright's own. Argument: the Python to use.
set -e
for name in chromium chromium-browser google-chrome; do
  if command -v "$name" >/dev/null 2>&1; then exit 0; fi
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null && exit 0
fi
exec "$1" -m playwright install chromium
