Push-Location $PSScriptRoot
try { cargo xtask test @args } finally { Pop-Location }
exit $LASTEXITCODE
