#!/usr/bin/env bash
# Build, ship and watch a release of alga-tenants with docker, helm and kubectl.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: scripts/deploy.sh COMMAND [OPTIONS]

  build     -t TAG [-r REGISTRY]     build the image
  push      -t TAG -r REGISTRY       push the image
  secret    FILE                     make the namespace, and the Secret that the chart reads, from NAME=value lines
  deploy    -t TAG -r REGISTRY       install or upgrade, wait until ready, and run helm test; makes the namespace
  status                             show the release, its pods and their warnings
  logs      [gateway|worker|migrate] show the last lines of the logs; -f follows
  rollback  [REVISION]               return to the previous revision, or to REVISION

  -t, --tag TAG          tag of the image, which is the deployed version
  -r, --registry NAME    registry of the image, such as registry.example/team
  -n, --namespace NAME   namespace of the release (default: alga-tenants, or $NAMESPACE)
      --release NAME     name of the release (default: alga-tenants, or $RELEASE)
      --context NAME     context in the kubeconfig (default: the current one)
      --values FILE      values for the chart; can be repeated
      --secret NAME      Secret that `secret` makes (default: alga-tenants, as in the chart's values)
      --timeout TIME     time to wait for a release (default: 10m)
  -f, --follow           follow the logs
      --dry-run          check the files and print the commands, but change nothing

BASE_IMAGE names the base image with its digest, such as python:3.11-slim-bookworm@sha256:<digest>;
`docker buildx imagetools inspect python:3.11-slim-bookworm` prints it.
BUILDER names the program to build and push with (default: docker), such as podman or buildah.
TEXT
}

die() {
    echo "deploy.sh: $1" >&2
    exit 2
}

run() {
    if [ "$dry_run" = yes ]; then
        printf '%q ' "$@"
        echo
    else
        "$@"
    fi
}

# Run helm or kubectl with the options that select the cluster and namespace.
on_cluster() {
    local program=$1
    shift
    local option=--context
    [ "$program" = helm ] && option=--kube-context
    run "$program" ${context:+"$option" "$context"} --namespace "$namespace" "$@"
}

need() {
    [ "$dry_run" = yes ] || command -v "$1" >/dev/null || die "$1 is not installed"
}

image() {
    [ -n "$tag" ] || die "$command needs a tag: -t TAG"
    [[ "$tag" =~ ^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$ ]] || die "$tag is no tag of an image: use letters, digits, _ . and -"
    [ -n "$registry" ] || [ "$command" = build ] || die "$command needs a registry: -r REGISTRY"
    repository="${registry:+${registry%/}/}alga-tenants"
}

build() {
    image
    need "$builder"
    run "$builder" build --build-arg "VERSION=$tag" --build-arg "REVISION=$(git rev-parse HEAD)" \
        ${BASE_IMAGE:+--build-arg "BASE_IMAGE=$BASE_IMAGE"} --tag "$repository:$tag" .
}

# Make an object, or replace it if it exists. On the server's side, so that no annotation repeats its content.
apply() {
    local made=(kubectl ${context:+--context "$context"} --namespace "$namespace" create "$@" --dry-run=client --output yaml)
    local applied=(kubectl ${context:+--context "$context"} --namespace "$namespace" apply --server-side --filename -)
    if [ "$dry_run" = yes ]; then
        echo "$(printf '%q ' "${made[@]}")| $(printf '%q ' "${applied[@]}")"
    else
        "${made[@]}" | "${applied[@]}"
    fi
}

check_file() {
    if [ ! -f "$1" ] || [ ! -r "$1" ]; then die "$1 is no file that can be read"; fi
}

check_secret_file() {
    local number=0 line
    check_file "$1"
    while IFS= read -r line || [ -n "$line" ]; do
        number=$((number + 1))
        # Neither error shows the line, which may hold a secret.
        [[ -z "$line" || "$line" == \#* || "$line" =~ ^[A-Za-z_][A-Za-z0-9_]*=. ]] || die "$1: line $number is not NAME=value"
        [[ "$line" =~ ^[^=#]*=[\"\'] ]] && die "$1: line $number has quotes, which would become a part of the value"
    done <"$1"
    [ "$number" -gt 0 ] || die "$1 is empty"
}

# Render the chart with the values: that shows errors of both without a cluster.
check_values() {
    if command -v helm >/dev/null; then
        helm template "$release" helm --namespace "$namespace" "$@" >/dev/null || die "the chart can't be rendered with these values"
    else
        echo "deploy.sh: helm is not installed, so the values are not checked" >&2
    fi
}

secret() {
    [ "${#arguments[@]}" -eq 1 ] || die "secret needs a file of NAME=value lines"
    check_secret_file "${arguments[0]}"
    need kubectl
    apply namespace "$namespace"
    apply secret generic "$secret_name" --from-env-file="${arguments[0]}"
}

push() {
    image
    need "$builder"
    run "$builder" push "$repository:$tag"
}

deploy() {
    image
    need helm
    local options=()
    for file in ${values[@]+"${values[@]}"}; do
        options+=(--values "$file")
    done
    # --set-string keeps a tag such as 1.10 from becoming a number.
    options+=(--set-string "image.repository=$repository" --set-string "image.tag=$tag")
    check_values "${options[@]}"
    on_cluster helm upgrade "$release" helm --install --create-namespace "${options[@]}" \
        --wait --wait-for-jobs --timeout "$timeout"
    on_cluster helm test "$release" --logs
}

status() {
    need helm
    need kubectl
    on_cluster helm status "$release"
    on_cluster kubectl get deployments,jobs,pods --selector "$selector"
    # Events of the pods say what their probes found missing.
    on_cluster kubectl get events --field-selector type=Warning --sort-by .lastTimestamp
}

logs() {
    need kubectl
    local process=${arguments[0]-}
    case "$process" in
        "" | gateway | worker | migrate) ;;
        *) die "no process $process; use gateway, worker or migrate" ;;
    esac
    on_cluster kubectl logs --selector "$selector${process:+,app.kubernetes.io/component=$process}" \
        --prefix --tail 200 --max-log-requests 20 ${follow:+--follow}
}

rollback() {
    need helm
    local revision=${arguments[0]-}
    [[ "$revision" =~ ^[0-9]*$ ]] || die "$revision is no revision; helm history $release lists them"
    on_cluster helm history "$release"
    on_cluster helm rollback "$release" ${revision:+"$revision"} --wait --wait-for-jobs --timeout "$timeout"
    on_cluster helm test "$release" --logs
}

command=${1-}
[ "$#" -eq 0 ] || shift
tag="" registry="" context="" follow="" dry_run=no timeout=10m secret_name=alga-tenants
namespace=${NAMESPACE:-alga-tenants} release=${RELEASE:-alga-tenants} builder=${BUILDER:-docker}
values=() arguments=()
while [ "$#" -gt 0 ]; do
    case "$1" in
        -t | --tag | -r | --registry | -n | --namespace | --release | --context | --values | --secret | --timeout)
            [ "$#" -ge 2 ] || die "$1 needs a value"
            ;;
    esac
    case "$1" in
        -t | --tag) tag=$2 && shift 2 ;;
        -r | --registry) registry=$2 && shift 2 ;;
        -n | --namespace) namespace=$2 && shift 2 ;;
        --release) release=$2 && shift 2 ;;
        --context) context=$2 && shift 2 ;;
        --values)
            check_file "$2"
            values+=("$(realpath -- "$2")")
            shift 2
            ;;
        --secret) secret_name=$2 && shift 2 ;;
        --timeout) timeout=$2 && shift 2 ;;
        -f | --follow) follow=yes && shift ;;
        --dry-run) dry_run=yes && shift ;;
        -h | --help) usage && exit 0 ;;
        -*) die "no option $1; --help lists the options" ;;
        *) arguments+=("$1") && shift ;;
    esac
done
selector="app.kubernetes.io/instance=$release"
# Before the folder changes, to which a file may be relative.
[ "$command" != secret ] || [ "${#arguments[@]}" -ne 1 ] || [ ! -e "${arguments[0]}" ] || arguments=("$(realpath -- "${arguments[0]}")")
cd "$(dirname "${BASH_SOURCE[0]}")/.."

case "$command" in
    build | push | secret | deploy | status | logs | rollback) "$command" ;;
    -h | --help | help) usage ;;
    "") usage >&2 && exit 2 ;;
    *) die "no command $command; --help lists the commands" ;;
esac
