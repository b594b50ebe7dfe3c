#!/bin/sh
# Writes the Asterisk configuration of the container image from these samples and the environment, then starts
# what is named after the two folders:
#
#   render-config.sh SAMPLES OUTPUT [COMMAND ARGUMENT...]
#
# The samples stay valid files without placeholders: a named setting gets another value, as `binding-ivr lab` does it,
# and a setting that a sample no longer has is a failure. Needs only sh, awk and the usual small tools.
#
#   ARI_PASSWORD, AMI_SECRET   16 characters or more of A-Z a-z 0-9 . _ ~ -   (no default: they are secrets)
#   CONTROL_ADDRESS            our address on the network shared with binding_ivr; ARI and AMI listen only there
#   CONTROL_NETWORK            that network, such as 192.0.2.0/24; AMI lets in nobody else
#   AGI_ADDRESS                host:port of binding_ivr's FastAGI; an address, so that no call waits for the DNS
#   TRUNK_ADDRESS              our address towards the trunk; SIP and RTP use it
#   TRUNK_NETWORK              its network: whoever is outside of it is told PUBLIC_ADDRESS
#   PUBLIC_ADDRESS             the address under which the provider reaches us
#   TRUNK_HOST                 the provider's SIP host, or host:port
#   RTP_FIRST, RTP_LAST        UDP ports of the media (default: 10000 to 10099)
#   SITE                       folder of your own files (default: /etc/asterisk/site); an extensions.conf or
#                              pjsip.conf there is taken as it is, in place of the sample
#   ASTERISK_MODULES, ASTERISK_DATA, ASTERISK_STATE, ASTERISK_SPOOL, ASTERISK_RUN, ASTERISK_LOG
#                              Asterisk's folders (default: those of the Debian package)
set -eu
umask 077

fail() {
    echo "render-config.sh: $1" >&2
    exit 1
}

# text NAME PATTERN: fail unless the variable is set and all of its characters are in the bracket PATTERN.
text() {
    eval "value=\${$1:-}"
    [ -n "$value" ] || fail "$1 is not set; see the head of this file and docs/docker.md"
    case $value in
        *[!$2]*) fail "$1 holds a character that is not one of $2" ;;
    esac
}

secret() {
    text "$1" 'A-Za-z0-9._~-'
    [ "${#value}" -ge 16 ] || fail "$1 is shorter than 16 characters; make one: openssl rand -hex 24"
    case $value in
        change-this*) fail "$1 is the sample's placeholder; make one: openssl rand -hex 24" ;;
    esac
}

# put FILE SECTION KEY VALUE: give a setting of OUTPUT/FILE another value. The value goes through the environment,
# where a list of processes does not show it.
put() {
    VALUE=$4 awk -v section="$2" -v key="$3" '
        /^\[/ { current = $0; sub(/^\[/, "", current); sub(/\].*/, "", current) }
        current == section && $1 == key && $2 ~ /^=>?$/ { print key " = " ENVIRON["VALUE"]; found = 1; next }
        { print }
        END { exit !found }
    ' "$output/$1" > "$output/.new" || fail "the sample $1 has no setting $3 in [$2]"
    mv "$output/.new" "$output/$1"
}

[ $# -ge 2 ] || fail "usage: render-config.sh SAMPLES OUTPUT [COMMAND ARGUMENT...]"
samples=$1
output=$2
shift 2

secret ARI_PASSWORD
secret AMI_SECRET
text CONTROL_ADDRESS '0-9a-fA-F.:'
text CONTROL_NETWORK '0-9a-fA-F.:/'
text AGI_ADDRESS 'A-Za-z0-9._:-'
text TRUNK_ADDRESS '0-9a-fA-F.:'
text TRUNK_NETWORK '0-9a-fA-F.:/'
text PUBLIC_ADDRESS 'A-Za-z0-9.:-'
text TRUNK_HOST 'A-Za-z0-9._:-'
RTP_FIRST=${RTP_FIRST:-10000}
RTP_LAST=${RTP_LAST:-10099}
text RTP_FIRST '0-9'
text RTP_LAST '0-9'
SITE=${SITE:-/etc/asterisk/site}

modules=${ASTERISK_MODULES:-}
if [ -z "$modules" ]; then
    for folder in /usr/lib/*/asterisk/modules /usr/lib/asterisk/modules; do
        if [ -d "$folder" ]; then modules=$folder; fi
    done
fi
[ -d "$modules" ] || fail "no folder of Asterisk modules; set ASTERISK_MODULES"
state=${ASTERISK_STATE:-/var/lib/asterisk}
data=${ASTERISK_DATA:-/usr/share/asterisk}

# A restarted container may still hold the files of its last start.
rm -rf "$output"
mkdir -p "$output" "$state/keys/stir_shaken/cache" "$state/agi-bin"
for file in ari.conf http.conf manager.conf; do
    cp "$samples/$file" "$output/$file"
done
for file in extensions.conf pjsip.conf; do
    if [ -f "$SITE/$file" ]; then
        cp "$SITE/$file" "$output/$file"
        continue
    fi
    cp "$samples/$file" "$output/$file"
    case $file in
        extensions.conf) put extensions.conf globals BINDING_AGI "$AGI_ADDRESS" ;;
        pjsip.conf)
            put pjsip.conf transport-udp bind "$TRUNK_ADDRESS:5060"
            put pjsip.conf trunk media_address "$TRUNK_ADDRESS"
            put pjsip.conf trunk contact "sip:$TRUNK_HOST"
            put pjsip.conf trunk match "${TRUNK_HOST%:*}"
            # Behind the container network's address translation.
            cat >> "$output/pjsip.conf" << END

[transport-udp](+)
local_net = $TRUNK_NETWORK
external_media_address = $PUBLIC_ADDRESS
external_signaling_address = $PUBLIC_ADDRESS
END
            ;;
    esac
done
put ari.conf binding_ivr password "$ARI_PASSWORD"
put http.conf general bindaddr "$CONTROL_ADDRESS"
put manager.conf general bindaddr "$CONTROL_ADDRESS"
put manager.conf binding_ivr secret "$AMI_SECRET"
put manager.conf binding_ivr permit "$CONTROL_NETWORK"

cat > "$output/asterisk.conf" << END
[directories]
astetcdir = $output
astmoddir = $modules
astvarlibdir = $state
astdbdir = $state
astkeydir = $state
astdatadir = $data
astagidir = $state/agi-bin
astcachedir = ${ASTERISK_SPOOL:-/var/spool/asterisk}/cache
astspooldir = ${ASTERISK_SPOOL:-/var/spool/asterisk}
astrundir = ${ASTERISK_RUN:-/run/asterisk}
astlogdir = ${ASTERISK_LOG:-/var/log/asterisk}

[options]
nocolor = yes
hideconnect = yes
live_dangerously = no
transmit_silence = yes
END

cat > "$output/rtp.conf" << END
[general]
rtpstart = $RTP_FIRST
rtpend = $RTP_LAST
strictrtp = yes
icesupport = no
END

# Notices go to the container's log, which rotates them.
cat > "$output/logger.conf" << END
[general]
dateformat = %F %T.%3q

[logfiles]
/dev/stderr => notice,warning,error
END

# Only what binding_ivr uses is loaded: the lists are those of the lab. A version of Asterisk lacks some of them.
{
    echo '[modules]'
    echo 'autoload = no'
    cat "$samples"/modules*.txt | sort -u | while read -r module; do
        if [ -f "$modules/$module.so" ]; then echo "load = $module.so"; fi
    done
} > "$output/modules.conf"

# The other files as they are, yours first. The door by ODBC needs a database login of yours: it comes from you or not at all.
for file in "$SITE"/*.conf "$samples"/*.conf; do
    case $file in "$samples"/*odbc.conf) continue ;; esac
    if [ -f "$file" ] && [ ! -f "$output/${file##*/}" ]; then cp "$file" "$output/"; fi
done
# Asterisk complains about files that are missing although its defaults are right.
for file in acl ccss cdr cel features musiconhold pjproject pjsip_notify stasis stir_shaken udptl websocket_client; do
    [ -f "$output/$file.conf" ] || echo '; The defaults are right.' > "$output/$file.conf"
done

# Asterisk itself need not know them in its environment, which a dialplan can read.
unset ARI_PASSWORD AMI_SECRET value
[ $# -eq 0 ] || exec "$@"
