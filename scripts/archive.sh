# shellcheck shell=bash
# archive.sh: Debian's archive, as far as the scripts that source it fetch from it by themselves. Its
# address, its keys and the way to it are those of this machine's apt.

# Where Debian has each version of PostgreSQL.
suites_of() {
	case $1 in
		15) echo bookworm bookworm-security ;;
		17) echo trixie trixie-security ;;
		18) echo forky ;;
		19) echo sid experimental ;;
		*) die "PostgreSQL $1 is none of the supported versions: 15 17 18 19" ;;
	esac
}

# The line of this machine's apt for the archive with the label $1: "URI SOURCES-FILE:NUMBER".
apt_target() {
	# shellcheck disable=SC2016 # apt's variables, not the shell's
	apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(REPO_URI) $(SOURCESENTRY)' \
		'Created-By: Packages' 2>/dev/null | sed -n "s/^Debian|$1|main|//p" | head -n 1
}

# The keyring that an entry of apt's sources names, if it names one.
signed_by() {
	local file=${1%:*} number=${1##*:} keyring
	case $file in
		*.sources) keyring=$(sed '/^#/d' "$file" | awk -v RS= -v n="$number" 'NR == n' | sed -n 's/^signed-by:[[:space:]]*//Ip') ;;
		*) keyring=$(sed -n "${number}s/.*\[[^]]*signed-by=\([^] ]*\).*/\1/p" "$file") ;;
	esac
	if [[ $keyring == /* ]]; then
		echo "$keyring"
	fi
}

# A line for sources.list: source_line deb|deb-src SUITE. False if this machine's apt knows no such archive.
source_line() {
	local label=Debian target keyring
	if [[ $2 == *-security ]]; then
		label=Debian-Security
	fi
	target=$(apt_target "$label")
	[[ -n $target ]] || return 1
	keyring=$(signed_by "${target#* }")
	echo "$1 ${keyring:+[signed-by=$keyring] }${target%% *} $2 main"
}

# Does the archive of a line for sources.list answer? answers LINE SCRATCH-FILE
answers() {
	local words
	read -ra words <<<"$1"
	/usr/lib/apt/apt-helper -q -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20 -o Acquire::Retries=1 \
		download-file "${words[-3]}dists/${words[-2]}/InRelease" "$2"
}

# Sets the array lines to what a sources.list needs for version $2: archive_lines deb|deb-src VERSION
# SCRATCH-FILE. False, with a sentence, where this machine has no archive for it or it doesn't answer.
archive_lines() {
	local suite line
	lines=()
	if [[ ! -x /usr/lib/apt/apt-helper ]]; then
		echo "this machine has no apt"
		return 1
	fi
	for suite in $(suites_of "$2"); do
		if ! line=$(source_line "$1" "$suite"); then
			echo "apt's sources have no archive of Debian's for $suite"
			return 1
		fi
		lines+=("$line")
		if ! answers "$line" "$3"; then
			echo "the archive does not answer"
			return 1
		fi
	done
}

# Settings for an apt with sources of its own: how this machine reaches the network, and old suites too.
apt_settings() {
	apt-config dump | grep -E '^Acquire::(http|https|ftp|Retries|ForceIPv)' || true
	echo 'Acquire::Check-Valid-Until "false"; Acquire::Languages "none"; APT::Sandbox::User "root";'
}
