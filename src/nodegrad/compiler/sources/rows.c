/* The rows of the table of operations that C99 has no expression for. Each function stands alone; a file that is
   written takes along those it uses. */

static double row_sign(double x)
{
    return x > 0.0 ? 1.0 : x < 0.0 ? -1.0 : x;
}

/* The remainder with the sign of y, as Python has it. */
static double row_mod(double x, double y)
{
    double rest = fmod(x, y);
    if (rest == 0.0)
        return copysign(0.0, y);
    return (rest < 0.0) != (y < 0.0) && !isnan(rest) ? rest + y : rest;
}

static double row_pow(double x, double y)
{
    return y == 2.0 ? x * x : pow(x, y);
}

static double row_sigmoid(double x)
{
    double small;
    if (x >= 0.0)
        return 1.0 / (1.0 + exp(-x));
    small = exp(x);
    return small / (1.0 + small);
}

static double row_softplus(double x)
{
    return x > 0.0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

static double row_relu(double x)
{
    return x <= 0.0 ? 0.0 : x;
}

static double row_step(double x)
{
    return x > 0.0 ? 1.0 : isnan(x) ? x : 0.0;
}

static double row_maximum(double x, double y)
{
    return x >= y || isnan(x) ? x : y;
}

static double row_minimum(double x, double y)
{
    return x <= y || isnan(x) ? x : y;
}

static double row_where(double condition, double x, double y)
{
    return condition != 0.0 ? x : y;
}

/* The product of the chain rule: 0 where the adjoint is 0. */
static double row_strong_mul(double adjoint, double partial)
{
    return adjoint != 0.0 ? adjoint * partial : 0.0;
}

static double row_strong_factor(double adjoint, double partial)
{
    return adjoint != 0.0 || isfinite(partial) ? partial : 0.0;
}
