"""Parameters of the endpoints of changes of product."""

from typing import Annotated

from fastapi import Body, Query

from app.gateway.product_changes.schemas import NewProduct, ProductChangeBody
from workflows.tenants.changes.product_change import NEW_PRODUCT

NewProductChange = Annotated[ProductChangeBody, Body()]
PreviewedProduct = Annotated[NewProduct, Query(alias="productCode", description="The new product.")]
DEFAULT_PRODUCT = NEW_PRODUCT
