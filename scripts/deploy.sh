#!/usr/bin/env bash
# Build, ship and watch a release of alga-tenants with docker, helm and kubectl.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: scripts/deploy.sh COMMAND [OPTIONS]

  build     -t TAG [-r REGISTRY]     build the image
  push      -t TAG -r REGISTRY       push the image
  deploy    -t TAG -r REGISTRY       install or upgrade, wait until ready, and run helm test
  status                             show the release, its pods and their warnings
  logs      [gateway|worker|migrate] show the last lines of the logs; -f follows
  rollback  [REVISION]               return to the previous revision, or to REVISION

  -t, --tag TAG          tag of the image, which is the deployed version
  -r, --registry NAME    registry of the image, such as registry.example/team
  -n, --namespace NAME   namespace of the release (default: alga-tenants, or $NAMESPACE)
      --release NAME     name of the release (default: alga-tenants, or $RELEASE)
      --context NAME     context in the kubeconfig (default: the current one)
      --values FILE      values for the chart; can be repeated
      --timeout TIME     time to wait for a release (default: 10m)
  -f, --follow           follow the logs
      --dry-run          print the commands without running them

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
    on_cluster helm upgrade "$release" helm --install ${options[@]+"${options[@]}"} \
        --set-string "image.repository=$repository" --set-string "image.tag=$tag" --wait --wait-for-jobs --timeout "$timeout"
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
tag="" registry="" context="" follow="" dry_run=no timeout=10m
namespace=${NAMESPACE:-alga-tenants} release=${RELEASE:-alga-tenants} builder=${BUILDER:-docker}
values=() arguments=()
while [ "$#" -gt 0 ]; do
    case "$1" in
        -t | --tag | -r | --registry | -n | --namespace | --release | --context | --values | --timeout)
            [ "$#" -ge 2 ] || die "$1 needs a value"
            ;;
    esac
    case "$1" in
        -t | --tag) tag=$2 && shift 2 ;;
        -r | --registry) registry=$2 && shift 2 ;;
        -n | --namespace) namespace=$2 && shift 2 ;;
        --release) release=$2 && shift 2 ;;
        --context) context=$2 && shift 2 ;;
        --values) values+=("$(realpath -- "$2")") && shift 2 ;;
        --timeout) timeout=$2 && shift 2 ;;
        -f | --follow) follow=yes && shift ;;
        --dry-run) dry_run=yes && shift ;;
        -h | --help) usage && exit 0 ;;
        -*) die "no option $1; --help lists the options" ;;
        *) arguments+=("$1") && shift ;;
    esac
done
selector="app.kubernetes.io/instance=$release"
cd "$(dirname "${BASH_SOURCE[0]}")/.."

case "$command" in
    build | push | deploy | status | logs | rollback) "$command" ;;
    -h | --help | help) usage ;;
    "") usage >&2 && exit 2 ;;
    *) die "no command $command; --help lists the commands" ;;
esac
