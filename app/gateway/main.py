"""Puts the gateway together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from importlib.metadata import version

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from app.gateway.database import DatabaseUnavailableError
from app.gateway.openapi import install_openapi
from app.gateway.problems import ProblemError, outage, problem_response
from app.gateway.request_context import RequestContextMiddleware
from app.gateway.routes import tenants
from app.gateway.services import open_services
from app.gateway.validation import validation_problem
from app.probes import probe_routes
from app.settings import Settings
from app.temporal.operations import TemporalUnavailableError
