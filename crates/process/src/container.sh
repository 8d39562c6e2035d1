# Runs a container and notes how it ended, whether or not somebody waits for it.
#
# $1 is the file for the exit code, $2 the directory of the container, and the rest is the command. This shell leads the group of the
# attempt; the container is in another one, and ends with this shell. What asks this shell to end asks the program in the container.
exit_file=$1 directory=$2
shift 2
cd "$directory" || exit 125
payload() {
    info=$(cat info 2> /dev/null)
    first=${info##*\"child-pid\": }
    first=${first%%[!0-9]*}
    [ "$first" ] && read -r found _ < "/proc/$first/task/$first/children"
    printf %s "${found:-$container}"
}
trap 'kill -s TERM "$(payload)" 2> /dev/null' TERM
# In the background a shell ignores what a terminal sends, and the program would inherit that.
env --default-signal=INT,QUIT setsid "$@" &
container=$!
exec 3<&-
while wait "$container"; code=$?; kill -0 "$container" 2> /dev/null; do :; done
printf '%s\n' "$code" > "$exit_file.new" && mv "$exit_file.new" "$exit_file"
exit "$code"
