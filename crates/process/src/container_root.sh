# Becomes the command, in a mount namespace where `merged` is the root of the image with what this attempt writes laid over it. $1 is added to the
# options of the overlay.
options=$1
shift
mount -t overlay overlay -o "lowerdir=lower,upperdir=upper,workdir=overlay$options" merged 2> refused || {
    printf 'warning: no overlay can be mounted (%s): the root of the image is copied for this attempt\n' "$(tail -n 1 refused)" >&2
    cp -a --reflink=auto lower/. merged/ && cp -a upper/. merged/ || exit 125
}
# What has the mark is asked to end with the attempt: the program, and not what holds the container together.
exec env -u SPANWISE_ATTEMPT "$@" 9> info
